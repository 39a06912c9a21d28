"""The adapter `mailgun`: its forms, and what each answer means."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from pydantic import ValidationError

from services.orchestrator.delivery.adapters.definition import Adapter
from services.orchestrator.delivery.adapters.mailgun.adapter import MEANINGS
from tests.support.mail_api_fake import KEY, PAGE, ProviderAccount, answering, context, contract_adapter, send
from tests.support.mail_api_tables import COMMON_ANSWERS, codes_of

ACCOUNT = ProviderAccount(
    id="mailgun",
    path="/v3/shop.example/messages",
    authorization=("authorization", "Basic " + base64.b64encode(f"api:{KEY}".encode()).decode()),
    required=frozenset({"from", "to", "subject"}),
    accepts=lambda: web.json_response({"id": "<mg-1@shop.example>", "message": "Queued. Thank you."}),
    settings={"domain": "shop.example"},
)


@asynccontextmanager
async def adapter_under_contract() -> AsyncIterator[Adapter]:
    """For tests/contracts/test_adapters.py."""
    async with contract_adapter(ACCOUNT) as adapter:
        yield adapter


async def test_a_form_holds_the_whole_mail() -> None:
    result, fake = await send(ACCOUNT)
    assert (result.outcome, result.provider_id) == ("accepted", "mg-1@shop.example")
    assert fake.bodies[0] == {
        "from": '"Müller, Söhne" <news@shop.example>',
        "to": "ada@example.org",
        "subject": "Grüße",
        "html": "<p>Hällo</p>",
        "text": "Hällo",
        "v:tactful_message": "msg_1",
        "h:Reply-To": "answers@shop.example",
        "h:Message-ID": "<msg_1@shop.example>",
        "h:Auto-Submitted": "auto-generated",
        "h:Feedback-ID": "offer:-:marketing:tactful",
        "h:X-Tactful-Message": "msg_1",
        "h:List-Unsubscribe": f"<{PAGE}>, <mailto:stop@shop.example?subject=msg_1>",
        "h:List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
    }


@pytest.mark.parametrize("domain", ["shop.example/../other", "shop", "a b.example", "shop.example?x=y"])
def test_a_domain_cannot_change_the_path(domain: str) -> None:
    with pytest.raises(ValidationError):
        context(ACCOUNT, "https://api.mailgun.net", domain=domain)


def error(text: object) -> dict[str, Any]:
    return {"message": text}


ANSWERS: list[tuple[int, Any, str, str | None, str]] = [
    (400, error("'to' parameter is not a valid address. please check documentation"), "rejected", "address", "to"),
    (400, error("to parameter is not a valid address. please check documentation"), "rejected", "address", "to"),
    (400, error("'from' parameter is not a valid address. please check documentation"), "retry", "account", "from"),
    (400, error("too many recipients"), "rejected", "content", ""),
    (400, error("Need at least one of 'text' or 'html' parameters specified"), "rejected", "content", ""),
    (400, error(["to"]), "rejected", "content", ""),
    (401, "Forbidden", "retry", "account", ""),
    (402, error("Request Failed"), "retry", "account", ""),
    (404, error("Domain not found: shop.example"), "retry", "account", ""),
    *COMMON_ANSWERS,
]


@pytest.mark.parametrize(("status", "body", "outcome", "fault", "code"), ANSWERS)
async def test_what_an_answer_means(status: int, body: Any, outcome: str, fault: str | None, code: str) -> None:
    result, _ = await send(ACCOUNT, answering(status, body))
    assert (result.outcome, result.fault) == (outcome, fault)
    assert result.detail == f"status {status}" + (f", {code}" if code else "")


def test_every_row_of_the_table_is_tested() -> None:
    assert codes_of(MEANINGS) <= {code for *_, code in ANSWERS}
