"""The adapter `vonage`: its requests, and what each answer means."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from pydantic import ValidationError

from schemas.message import HandoverResult
from services.kit.runtime.settings import SettingsError
from services.orchestrator.delivery.adapters.definition import Adapter
from services.orchestrator.delivery.adapters.text_api import OUTCOMES
from services.orchestrator.delivery.adapters.vonage.adapter import MEANINGS
from services.orchestrator.delivery.adapters.vonage.declaration import DECLARATION, VonageSettings
from services.orchestrator.delivery.adapters.vonage.error_codes import ERROR_CODES
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

KEY_ID = "abcd1234"
RECEIPTS = "https://shop.example/v1/receipts/vonage"
NUMBER = "+4915112345678"
ID = "40385f64-5717-4562-b3fc-2c963f66afa6"
ACCOUNT = ProviderAccount(
    id="vonage",
    path="/v1/messages",
    authorization=("authorization", "Basic " + base64.b64encode(f"{KEY_ID}:{KEY}".encode()).decode()),
    required=frozenset({"channel", "message_type", "to", "from", "text"}),
    accepts=lambda: web.json_response({"message_uuid": ID}, status=202),
    settings={"key_id": KEY_ID, "sender": "+15017122661"},
)


@asynccontextmanager
async def adapter_under_contract() -> AsyncIterator[Adapter]:
    """For tests/contracts/test_adapters.py."""
    async with contract_adapter(ACCOUNT) as adapter:
        yield adapter


async def send(answer: Any = None, **how: Any) -> tuple[HandoverResult, MailApiFake]:
    """One text, and what Vonage got."""
    return await send_to_fake(ACCOUNT, answer, **{"channel": "sms", "to": NUMBER, "content": {"text": "Grüße"}, **how})


@pytest.mark.parametrize(
    ("settings", "sent"),
    [
        ({}, {"from": "15017122661"}),
        ({"sender": "Shop"}, {"from": "Shop"}),
        ({"senders": '{"DE": "+15017122662"}'}, {"from": "15017122662"}),
        (
            {"receipts_url": RECEIPTS},
            {"from": "15017122661", "webhook_url": RECEIPTS, "webhook_version": "v1"},
        ),
    ],
)
async def test_a_request_holds_the_whole_text(settings: Mapping[str, Any], sent: dict[str, Any]) -> None:
    result, fake = await send(settings=settings)
    assert (result.outcome, result.provider_id) == ("accepted", ID)
    text = {"channel": "sms", "message_type": "text", "to": NUMBER[1:], "text": "Grüße", "client_ref": "msg_1"}
    assert fake.bodies == [{**text, **sent}]


def refusal(code: object) -> dict[str, Any]:
    return {"type": f"https://developer.vonage.com/api-errors/messages#{code}", "title": "Invalid", "detail": NUMBER}


ANSWERS: list[tuple[int, Any, str, str | None, str]] = [
    *((400, refusal(code), *OUTCOMES[meaning], code) for code, meaning in ERROR_CODES.items()),
    (422, refusal("1040"), "rejected", "address", "1040"),
    (429, refusal("1000"), "retry", "throttle", "1000"),
    (422, refusal("1030"), "unknown", None, "1030"),
    (500, refusal("1030"), "unknown", None, "1030"),
    (422, refusal("1100"), "retry", None, "1100"),
    (422, refusal("9999"), "rejected", "content", "9999"),
    (422, refusal("unprocessable"), "rejected", "content", ""),
    (401, {"type": "https://developer.vonage.com/api-errors#unauthorized"}, "retry", "account", ""),
    (422, {"type": ["#1040"]}, "rejected", "content", ""),
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
        ({"key": None}, "TACTFUL_VONAGE__KEY is not set"),
        ({"key_id": None}, "TACTFUL_VONAGE__KEY_ID is not set"),
        ({"sender": None}, "TACTFUL_VONAGE__SENDER is not set"),
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
        {"key_id": "a:b"},
        {"sender": "A sender of more"},
        {"receipts_url": "http://shop.example/v1/receipts/vonage"},
        {"signature_secret": "short"},
    ],
)
def test_settings_that_cannot_be_right_are_refused_at_start(settings: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        VonageSettings.model_validate(settings)
