"""The adapter `resend`: its requests, its idempotency keys, and what each answer means."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from services.orchestrator.delivery.adapters.definition import Adapter
from services.orchestrator.delivery.adapters.resend.adapter import MEANINGS
from tests.support.mail_api_fake import (
    KEY,
    MailApiFake,
    ProviderAccount,
    adapter_module,
    answering,
    context,
    contract_adapter,
    send,
    serving,
)
from tests.support.mail_api_tables import COMMON_ANSWERS, codes_of
from tests.support.webhook_receiver import RecordingFirstByteGuard, message

ACCOUNT = ProviderAccount(
    id="resend",
    path="/emails",
    authorization=("authorization", f"Bearer {KEY}"),
    required=frozenset({"from", "to", "subject"}),
    accepts=lambda: web.json_response({"id": "re-1"}),
)


@asynccontextmanager
async def adapter_under_contract() -> AsyncIterator[Adapter]:
    """For tests/contracts/test_adapters.py."""
    async with contract_adapter(ACCOUNT) as adapter:
        yield adapter


async def test_a_request_holds_the_whole_mail() -> None:
    result, fake = await send(ACCOUNT)
    assert (result.outcome, result.provider_id) == ("accepted", "re-1")
    body = fake.bodies[0]
    headers = body.pop("headers")
    assert body == {
        "from": '"Müller, Söhne" <news@shop.example>',
        "to": ["ada@example.org"],
        "reply_to": "answers@shop.example",
        "subject": "Grüße",
        "html": "<p>Hällo</p>",
        "text": "Hällo",
        "tags": [{"name": "tactful_message", "value": "msg_1"}],
    }
    assert headers["X-Tactful-Message"] == "msg_1"
    assert headers["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"


async def test_every_attempt_has_the_same_key_and_the_same_body() -> None:
    fake = MailApiFake(ACCOUNT)
    async with serving(fake) as url:
        adapter = adapter_module(ACCOUNT).create_adapter(context(ACCOUNT, url))
        assert adapter.idempotent
        for _ in range(2):
            await adapter.send_batch([message("msg_a")], RecordingFirstByteGuard())
        await adapter.close()
    assert [headers["Idempotency-Key"] for headers in fake.headers] == ["msg_a", "msg_a"]
    assert fake.bodies[0] == fake.bodies[1]


def error(name: object, text: str = "Not ada@example.org") -> dict[str, Any]:
    return {"name": name, "message": text, "statusCode": 400}


TO_IS_WRONG = "Invalid `to` field. The email address needs to follow the `email@example.com` format."
ANSWERS: list[tuple[int, Any, str, str | None, str]] = [
    (422, error("validation_error", TO_IS_WRONG), "rejected", "address", "validation_error.to"),
    (422, error("validation_error", "Invalid `from` field."), "retry", "account", "validation_error.from"),
    (422, error("validation_error", "Invalid `reply_to` field."), "retry", "account", "validation_error.reply_to"),
    (400, error("validation_error"), "rejected", "content", "validation_error"),
    (403, error("validation_error"), "retry", "account", "validation_error"),
    (422, error("missing_required_field"), "rejected", "content", "missing_required_field"),
    (422, error("invalid_from_address"), "retry", "account", "invalid_from_address"),
    (403, error("invalid_api_key"), "retry", "account", "invalid_api_key"),
    (400, error("invalid_api_key"), "retry", "account", "invalid_api_key"),
    (401, error("missing_api_key"), "retry", "account", "missing_api_key"),
    (401, error("restricted_api_key"), "retry", "account", "restricted_api_key"),
    (409, error("concurrent_idempotent_requests"), "retry", None, "concurrent_idempotent_requests"),
    (409, error("invalid_idempotent_request"), "rejected", "content", "invalid_idempotent_request"),
    (429, error("rate_limit_exceeded"), "retry", "throttle", "rate_limit_exceeded"),
    (429, error("daily_quota_exceeded"), "retry", "throttle", "daily_quota_exceeded"),
    (429, error("monthly_quota_exceeded"), "retry", "account", "monthly_quota_exceeded"),
    (500, error("internal_server_error"), "unknown", None, "internal_server_error"),
    (422, error("ada@example.org"), "rejected", "content", ""),
    (422, error(["x"]), "rejected", "content", ""),
    *COMMON_ANSWERS,
]


@pytest.mark.parametrize(("status", "body", "outcome", "fault", "code"), ANSWERS)
async def test_what_an_answer_means(status: int, body: Any, outcome: str, fault: str | None, code: str) -> None:
    result, _ = await send(ACCOUNT, answering(status, body))
    assert (result.outcome, result.fault) == (outcome, fault)
    assert result.detail == f"status {status}" + (f", {code}" if code else "")


def test_every_row_of_the_table_is_tested() -> None:
    assert codes_of(MEANINGS) <= {code for *_, code in ANSWERS}


@pytest.mark.parametrize(
    ("name", "headers", "wait"),
    [
        ("rate_limit_exceeded", {"retry-after": "3", "ratelimit-reset": "9"}, 3.0),
        ("rate_limit_exceeded", {"ratelimit-reset": "9"}, 9.0),
        ("rate_limit_exceeded", {}, None),
        ("daily_quota_exceeded", {"retry-after": "3"}, 3600.0),
        ("monthly_quota_exceeded", {}, 3600.0),
    ],
)
async def test_a_throttled_message_waits_as_long_as_asked(
    name: str, headers: dict[str, str], wait: float | None
) -> None:
    result, _ = await send(ACCOUNT, answering(429, error(name), headers))
    assert (result.outcome, result.retry_after) == ("retry", wait)
