"""The adapter `telnyx`: its requests, and what each answer means."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from pydantic import ValidationError

from schemas.message import HandoverResult
from services.kit.runtime.settings import SettingsError
from services.orchestrator.delivery.adapters.definition import Adapter
from services.orchestrator.delivery.adapters.telnyx.adapter import MEANINGS
from services.orchestrator.delivery.adapters.telnyx.declaration import DECLARATION, TelnyxSettings
from services.orchestrator.delivery.adapters.telnyx.error_codes import ERROR_CODES
from services.orchestrator.delivery.adapters.text_api import OUTCOMES
from tests.support.mail_api_fake import (
    KEY,
    MailApiFake,
    ProviderAccount,
    adapter_module,
    answering,
    context,
    contract_adapter,
)
from tests.support.mail_api_fake import send as send_to_fake
from tests.support.mail_api_tables import COMMON_ANSWERS, codes_of

PROFILE = "40017d4e-a0b1-4c2d-8e3f-0123456789ab"
RECEIPTS = "https://shop.example/v1/receipts/telnyx"
NUMBER = "+4915112345678"
ID = "40385f64-5717-4562-b3fc-2c963f66afa6"
ACCOUNT = ProviderAccount(
    id="telnyx",
    path="/v2/messages",
    authorization=("authorization", f"Bearer {KEY}"),
    required=frozenset({"to", "text"}),
    accepts=lambda: web.json_response({"data": {"id": ID, "to": [{"phone_number": NUMBER, "status": "queued"}]}}),
    settings={"sender": "+15017122661"},
)


@asynccontextmanager
async def adapter_under_contract() -> AsyncIterator[Adapter]:
    """For tests/contracts/test_adapters.py."""
    async with contract_adapter(ACCOUNT) as adapter:
        yield adapter


async def send(answer: Any = None, **how: Any) -> tuple[HandoverResult, MailApiFake]:
    """One text, and what Telnyx got."""
    return await send_to_fake(ACCOUNT, answer, **{"channel": "sms", "to": NUMBER, "content": {"text": "Grüße"}, **how})


@pytest.mark.parametrize(
    ("settings", "sent"),
    [
        ({}, {"from": "+15017122661"}),
        ({"sender": "Shop"}, {"from": "Shop"}),
        ({"senders": '{"DE": "Shop"}'}, {"from": "Shop"}),
        ({"sender": None, "messaging_profile_id": PROFILE}, {"messaging_profile_id": PROFILE}),
        (
            {"receipts_url": RECEIPTS},
            {
                "from": "+15017122661",
                "webhook_url": f"{RECEIPTS}?tactful_message=msg_1",
                "use_profile_webhooks": False,
            },
        ),
    ],
)
async def test_a_request_holds_the_whole_text(settings: Mapping[str, Any], sent: dict[str, Any]) -> None:
    result, fake = await send(settings=settings)
    assert (result.outcome, result.provider_id) == ("accepted", ID)
    assert fake.bodies == [{"to": NUMBER, "text": "Grüße", "type": "SMS", **sent}]


def refusal(code: object) -> dict[str, Any]:
    return {"errors": [{"code": code, "title": "Invalid", "detail": f"The number {NUMBER} is invalid"}]}


ANSWERS: list[tuple[int, Any, str, str | None, str]] = [
    *((400, refusal(code), *OUTCOMES[meaning], code) for code, meaning in ERROR_CODES.items()),
    (401, refusal("10009"), "retry", "account", "10009"),
    (422, refusal("40300"), "rejected", "unsubscribed", "40300"),
    (429, refusal("10011"), "retry", "throttle", "10011"),
    (422, refusal("99999"), "rejected", "content", "99999"),
    (400, refusal(NUMBER), "rejected", "content", ""),
    (400, {"errors": []}, "rejected", "content", ""),
    *COMMON_ANSWERS,
]


@pytest.mark.parametrize(("status", "body", "outcome", "fault", "code"), ANSWERS)
async def test_what_an_answer_means(status: int, body: Any, outcome: str, fault: str | None, code: str) -> None:
    result, _ = await send(answering(status, body))
    assert (result.outcome, result.fault) == (outcome, fault)
    assert result.detail == f"status {status}" + (f", {code}" if code else "")
    assert NUMBER not in repr(result)


def test_every_row_of_the_table_is_tested() -> None:
    assert codes_of(MEANINGS) <= {code for *_, code in ANSWERS}


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"key": None}, "TACTFUL_TELNYX__KEY is not set"),
        ({"sender": None}, "TACTFUL_TELNYX__SENDER or TACTFUL_TELNYX__MESSAGING_PROFILE_ID must be set"),
    ],
)
def test_what_is_missing_is_named(settings: dict[str, Any], words: str) -> None:
    given = context(ACCOUNT, "https://api.example", **settings)
    with pytest.raises(SettingsError, match=words):
        adapter_module(ACCOUNT).create_adapter(given)
    assert DECLARATION.check(given.settings).remedy is not None


@pytest.mark.parametrize(
    "settings",
    [
        {"messaging_profile_id": "x"},
        {"sender": "A sender of more"},
        {"receipts_url": "http://shop.example/v1/receipts/telnyx"},
        {"public_key": "AAAA"},
        {"public_key": "no base64"},
    ],
)
def test_settings_that_cannot_be_right_are_refused_at_start(settings: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        TelnyxSettings.model_validate(settings)
