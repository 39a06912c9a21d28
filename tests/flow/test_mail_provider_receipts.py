"""Receipts of mail providers, as each of them posts and signs them: the dead address is not written to again."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from services.orchestrator.delivery.adapters.definition import ReceiptRequest
from tests.flow.test_receipts import entries, sent, shown
from tests.orchestrator.delivery.adapters import (
    test_mailgun_receipts,
    test_postmark_receipts,
    test_resend_receipts,
    test_sendgrid_receipts,
    test_ses_receipts,
)
from tests.support.document_builders import campaign, customer, event, policy
from tests.support.live_product import Live, live
from tests.support.receipt_requests import NOW, body_of, request

pytestmark = pytest.mark.wired


def sendgrid_bounce(message_id: str) -> ReceiptRequest:
    bounce = test_sendgrid_receipts.event("bounce", type="bounce", status="5.1.1", tactful_message=message_id)
    return test_sendgrid_receipts.signed(body_of([bounce]))


def postmark_bounce(message_id: str) -> ReceiptRequest:
    bounce = test_postmark_receipts.bounce("HardBounce", Metadata={"tactful_message": message_id})
    return test_postmark_receipts.signed(body_of(bounce))


def resend_bounce(message_id: str) -> ReceiptRequest:
    tags = {"tactful_message": message_id}
    bounce = test_resend_receipts.event("email.bounced", tags=tags, bounce={"type": "Permanent"})
    return test_resend_receipts.signed(body_of(bounce))


def mailgun_bounce(message_id: str) -> ReceiptRequest:
    bounce = test_mailgun_receipts.failure("permanent", "bounce")
    data = {**bounce, "user-variables": {"tactful_message": message_id}}
    return request(body_of({"signature": test_mailgun_receipts.signature(), "event-data": data}), {})


def ses_bounce(message_id: str) -> ReceiptRequest:
    bounce = test_ses_receipts.bounce("Permanent", "NoEmail")
    bounce["mail"]["tags"]["tactful_message"] = [message_id]
    text = body_of(bounce).decode()
    return request(body_of(test_ses_receipts.sign(test_ses_receipts.notification(text), "2")), {})


BOUNCES: Mapping[str, Callable[[str], ReceiptRequest]] = {
    "sendgrid": sendgrid_bounce,
    "postmark": postmark_bounce,
    "resend": resend_bounce,
    "mailgun": mailgun_bounce,
    "ses": ses_bounce,
}
SETTINGS: Mapping[str, Any] = {
    "sendgrid": test_sendgrid_receipts.SETTINGS,
    "postmark": test_postmark_receipts.SETTINGS,
    "resend": test_resend_receipts.SETTINGS,
    "mailgun": test_mailgun_receipts.SETTINGS,
    "ses": test_ses_receipts.SETTINGS.model_copy(update={"sns_key": test_ses_receipts.public_key()}),
}


@pytest.fixture
async def product(tmp_path: Path) -> AsyncIterator[Live]:
    async with live(tmp_path, NOW, **SETTINGS) as running:
        await running.policy(policy())
        await running.campaign(campaign())
        await running.customer(customer())
        yield running


async def post(product: Live, adapter: str, receipt: ReceiptRequest) -> httpx.Response:
    """Post it as the provider does, who has no key of ours."""
    transport = httpx.ASGITransport(product.together.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://tactful") as provider:
        headers = {**receipt.headers, "content-type": "application/json"}
        return await provider.post(f"/v1/receipts/{adapter}", content=receipt.body, headers=headers)


@pytest.mark.parametrize("adapter", BOUNCES)
async def test_a_hard_bounce_forbids_the_next_message_before_the_answer(product: Live, adapter: str) -> None:
    message_id = await sent(product)
    bounce = BOUNCES[adapter](message_id)
    answer = await post(product, adapter, bounce)
    assert (answer.status_code, answer.json()) == (200, {"new": 1, "repeated": 0, "unknown": 0})
    (entry,) = await entries(product)
    assert (entry["reason"], entry["scope"]["channel"]) == ("hard_bounce", "email")
    assert entry["source"] == f"{adapter}: bounced"
    assert (await shown(product, message_id))["delivery"] == "bounced"
    (decision,) = (await product.send(event("shop.offer", "e-2")))["decisions"]
    assert decision["outcome"] == "suppress"
    assert (await post(product, adapter, bounce)).json() == {"new": 0, "repeated": 1, "unknown": 0}


@pytest.mark.parametrize("adapter", BOUNCES)
async def test_what_nobody_has_signed_is_refused(product: Live, adapter: str) -> None:
    message_id = await sent(product)
    body = BOUNCES[adapter](message_id).body.replace(b'"token": "4', b'"token": "5')
    forged = request(body.replace(b'"Timestamp": "2026', b'"Timestamp": "+2026'), {})
    answer = await post(product, adapter, forged)
    assert (answer.status_code, answer.json()["code"]) == (401, "receipt_refused")
    assert await entries(product) == []
