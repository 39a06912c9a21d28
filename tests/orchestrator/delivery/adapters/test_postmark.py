"""The adapter `postmark`: its requests, its message streams, and what each answer means."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from services.orchestrator.delivery.adapters.definition import Adapter
from services.orchestrator.delivery.adapters.postmark.adapter import MEANINGS
from tests.support.mail_api_fake import KEY, ProviderAccount, answering, contract_adapter, send
from tests.support.mail_api_tables import COMMON_ANSWERS, codes_of

ACCOUNT = ProviderAccount(
    id="postmark",
    path="/email",
    authorization=("x-postmark-server-token", KEY),
    required=frozenset({"From", "To", "Subject", "HtmlBody"}),
    accepts=lambda: web.json_response({"ErrorCode": 0, "Message": "OK", "MessageID": "pm-1", "To": "x"}),
)


@asynccontextmanager
async def adapter_under_contract() -> AsyncIterator[Adapter]:
    """For tests/contracts/test_adapters.py."""
    async with contract_adapter(ACCOUNT) as adapter:
        yield adapter


async def test_a_request_holds_the_whole_mail() -> None:
    result, fake = await send(ACCOUNT)
    assert (result.outcome, result.provider_id) == ("accepted", "pm-1")
    body = fake.bodies[0]
    headers = {each["Name"]: each["Value"] for each in body.pop("Headers")}
    assert body == {
        "From": '"Müller, Söhne" <news@shop.example>',
        "To": "ada@example.org",
        "ReplyTo": "answers@shop.example",
        "Subject": "Grüße",
        "HtmlBody": "<p>Hällo</p>",
        "TextBody": "Hällo",
        "Metadata": {"tactful_message": "msg_1"},
        "MessageStream": "broadcast",
    }
    assert headers["X-Tactful-Message"] == "msg_1"
    assert (headers["Message-ID"], headers["X-PM-KeepID"]) == ("<msg_1@shop.example>", "true")
    assert headers["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"


@pytest.mark.parametrize(
    ("cls", "settings", "stream"),
    [
        ("marketing", {}, "broadcast"),
        ("service", {}, "outbound"),
        ("transactional", {}, "outbound"),
        ("marketing", {"marketing_stream": "news"}, "news"),
        ("transactional", {"stream": "receipts"}, "receipts"),
    ],
)
async def test_marketing_has_a_message_stream_of_its_own(cls: str, settings: dict[str, str], stream: str) -> None:
    _, fake = await send(ACCOUNT, cls=cls, settings=settings)
    assert fake.bodies[0]["MessageStream"] == stream


def error(code: int, text: str = "Not ada@example.org") -> dict[str, Any]:
    return {"ErrorCode": code, "Message": text}


INACTIVE = "Message OK, but will not deliver to these inactive addresses: ada@example.org. Inactive recipients are ..."
ANSWERS: list[tuple[int, Any, str, str | None, str]] = [
    (200, error(0, "OK"), "accepted", None, ""),
    (200, {"Message": "Message accepted, but delivery may be delayed."}, "accepted", None, ""),
    (200, error(0, INACTIVE), "rejected", "address", "inactive"),
    (200, {"ErrorCode": "ada@example.org"}, "accepted", None, ""),
    (401, error(10), "retry", "account", "10"),
    (422, error(100), "retry", None, "100"),
    (503, error(100), "retry", None, "100"),
    (422, error(300, "Invalid 'To' address: 'ada'."), "rejected", "address", "300.to"),
    (422, error(300, "Error parsing 'To': Illegal email domain 'x' in address 'y'."), "rejected", "address", "300.to"),
    (422, error(300, "Invalid 'From' address: 'x'."), "retry", "account", "300.from"),
    (422, error(300, "Error parsing 'Reply-To': Illegal"), "retry", "account", "300.reply-to"),
    (422, error(300, "Provide either email TextBody or HtmlBody or both."), "rejected", "content", "300"),
    *((422, error(code), "retry", "account", str(code)) for code in (400, 401, 405, 412, 413, 1235, 1236)),
    *((status, error(406), "rejected", "address", "406") for status in (200, 422)),
    *((422, error(code), "rejected", "content", str(code)) for code in (402, 410, 411, 9999)),
    (200, error(9999), "rejected", "content", "9999"),
    (429, error(429), "retry", "throttle", "429"),
    (422, error(429), "retry", "throttle", "429"),
    (500, error(9999), "unknown", None, "9999"),
    *COMMON_ANSWERS,
]


@pytest.mark.parametrize(("status", "body", "outcome", "fault", "code"), ANSWERS)
async def test_what_an_answer_means(status: int, body: Any, outcome: str, fault: str | None, code: str) -> None:
    result, _ = await send(ACCOUNT, answering(status, body))
    assert (result.outcome, result.fault) == (outcome, fault)
    assert result.detail == f"status {status}" + (f", {code}" if code else "")


def test_every_row_of_the_table_is_tested() -> None:
    assert codes_of(MEANINGS) <= {code for *_, code in ANSWERS}
