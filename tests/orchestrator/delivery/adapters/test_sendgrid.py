"""The adapter `sendgrid`: requests as its OpenAPI document wants them, and what each answer means."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import jsonschema_rs
import msgspec
import pytest
from aiohttp import web

from services.orchestrator.delivery.adapters.definition import Adapter
from services.orchestrator.delivery.adapters.sendgrid.adapter import MEANINGS, RESERVED_HEADERS, build_mail_send
from services.orchestrator.delivery.channels.email.mail import compose_mail
from services.orchestrator.mail_settings import MailSettings
from tests.support.mail_api_fake import CONTENT, KEY, NOW, SHOP, ProviderAccount, answering, contract_adapter, send
from tests.support.mail_api_tables import COMMON_ANSWERS, codes_of
from tests.support.webhook_receiver import message

ACCOUNT = ProviderAccount(
    id="sendgrid",
    path="/v3/mail/send",
    authorization=("authorization", f"Bearer {KEY}"),
    required=frozenset({"personalizations", "from", "subject", "content"}),
    accepts=lambda: web.Response(status=202, headers={"X-Message-Id": "sg-1"}),
)
DOCUMENT = Path(__file__).parents[3] / "contracts" / "providers" / "sendgrid-mail-send.json"
SCHEMA = jsonschema_rs.Draft202012Validator(json.loads(DOCUMENT.read_text("utf-8")), validate_formats=True)


@asynccontextmanager
async def adapter_under_contract() -> AsyncIterator[Adapter]:
    """For tests/contracts/test_adapters.py."""
    async with contract_adapter(ACCOUNT) as adapter:
        yield adapter


@pytest.mark.parametrize("text", ["Hällo", ""])
@pytest.mark.parametrize("mail", [SHOP, MailSettings(from_address="a@b.example")])
async def test_a_request_is_as_the_document_of_the_api_wants_it(text: str, mail: MailSettings) -> None:
    content = {"subject": "Hi", "html": "<p>Hi</p>", "text": text}
    result, fake = await send(ACCOUNT, mail=mail, content=content)
    assert (result.outcome, result.provider_id) == ("accepted", "sg-1")
    assert [error.message for error in SCHEMA.iter_errors(fake.bodies[0])] == []


async def test_the_document_refuses_other_requests() -> None:
    _, fake = await send(ACCOUNT)
    for missing in ("personalizations", "from", "subject", "content"):
        assert not SCHEMA.is_valid({name: value for name, value in fake.bodies[0].items() if name != missing})
    assert not SCHEMA.is_valid({**fake.bodies[0], "from": {"email": "nobody"}})


async def test_a_request_holds_the_whole_mail() -> None:
    _, fake = await send(ACCOUNT)
    body = fake.bodies[0]
    headers = body.pop("headers")
    assert body == {
        "personalizations": [{"to": [{"email": "ada@example.org"}], "custom_args": {"tactful_message": "msg_1"}}],
        "from": {"email": "news@shop.example", "name": "Müller Söhne"},
        "reply_to": {"email": "answers@shop.example"},
        "subject": "Grüße",
        "content": [{"type": "text/plain", "value": "Hällo"}, {"type": "text/html", "value": "<p>Hällo</p>"}],
    }
    assert headers["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert headers["X-Tactful-Message"] == "msg_1"


def test_headers_that_sendgrid_writes_itself_are_left_out() -> None:
    mail = compose_mail(message(content=CONTENT), SHOP)
    reserved = {name.title(): "x" for name in RESERVED_HEADERS}
    request = build_mail_send(msgspec.structs.replace(mail, headers={**reserved, "X-Other": "y"}), message())
    assert json.loads(request.content)["headers"] == {"X-Other": "y"}


def refusal(field: str | None) -> dict[str, Any]:
    return {"errors": [{"message": "Not ada@example.org.", "field": field, "help": None}]}


ANSWERS: list[tuple[int, Any, str, str | None, str]] = [
    (400, refusal("personalizations.0.to.0.email"), "rejected", "address", "personalizations.to.email"),
    (400, refusal("from"), "retry", "account", "from"),
    (400, refusal("from.email"), "retry", "account", "from.email"),
    (400, refusal("reply_to"), "retry", "account", "reply_to"),
    (400, refusal("reply_to.email"), "retry", "account", "reply_to.email"),
    (400, refusal("content.0.value"), "rejected", "content", "content.value"),
    (400, refusal(None), "rejected", "content", ""),
    (400, refusal("ada@example.org"), "rejected", "content", ""),
    (403, refusal("from"), "retry", "account", "from"),
    (413, refusal(None), "rejected", "content", ""),
    (400, {"errors": []}, "rejected", "content", ""),
    (400, {"errors": "field"}, "rejected", "content", ""),
    (400, [], "rejected", "content", ""),
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
    ("headers", "wait"),
    [
        ({"X-RateLimit-Reset": str(NOW // 1_000_000 + 42), "X-RateLimit-Remaining": "0"}, 42.0),
        ({"X-RateLimit-Reset": str(NOW // 1_000_000 + 42)}, 42.0),
        ({"X-RateLimit-Reset": "5"}, 1.0),
        ({"X-RateLimit-Reset": "99999999999"}, 3600.0),
        ({"X-RateLimit-Reset": "999999999999999"}, None),
        ({"X-RateLimit-Reset": "soon", "Retry-After": "7"}, 7.0),
        ({"X-RateLimit-Reset": str(NOW // 1_000_000 + 42), "X-RateLimit-Remaining": "9"}, None),
        ({}, None),
    ],
)
async def test_a_throttled_message_waits_until_the_limit_is_reset(headers: dict[str, str], wait: float | None) -> None:
    result, _ = await send(ACCOUNT, answering(429, "", headers))
    assert (result.outcome, result.fault, result.retry_after) == ("retry", "throttle", wait)
