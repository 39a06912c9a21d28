"""The webhook adapter with two secrets, one of which replaces the other, and with the trace of the event."""

from __future__ import annotations

import base64

import pytest
from pydantic import SecretStr, ValidationError
from standardwebhooks import Webhook as Verifier
from standardwebhooks.webhooks import WebhookVerificationError

from schemas.receipt import Receipt
from schemas.times import SECOND, to_datetime
from services.kit.http.outbound import OutboundGuard, parse_networks
from services.kit.runtime.clock import SystemClock
from services.orchestrator.delivery.adapters.definition import ReceiptRefused, ReceiptRequest
from services.orchestrator.delivery.adapters.webhook.adapter import WebhookAdapter, WebhookAdapterSettings
from services.orchestrator.delivery.adapters.webhook.declaration import WebhookSettings
from services.orchestrator.delivery.adapters.webhook.receipts import read_receipts
from tests.support.webhook_receiver import Receiver, RecordingFirstByteGuard, message, serving

LOOPBACK = OutboundGuard(parse_networks("127.0.0.0/8"))
FIRST, SECOND_SECRET, OTHER = (
    SecretStr("whsec_" + base64.b64encode(letter * 32).decode()) for letter in (b"a", b"b", b"c")
)
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


async def posted(traceparent: str | None = None, **secrets: SecretStr) -> tuple[dict[str, str], bytes]:
    receiver = Receiver()
    async with serving(receiver) as url:
        webhook = WebhookAdapter(
            WebhookAdapterSettings.model_validate({"url": url, **secrets}), SystemClock(), LOOPBACK
        )
        await webhook.send_batch([message(traceparent=traceparent)], RecordingFirstByteGuard())
        await webhook.close()
    return receiver.seen[0]


@pytest.mark.parametrize("secret", [FIRST, SECOND_SECRET])
async def test_a_receiver_that_knows_either_secret_verifies_with_a_foreign_library(secret: SecretStr) -> None:
    headers, body = await posted(secret=FIRST, second_secret=SECOND_SECRET)
    assert len(headers["webhook-signature"].split(" ")) == 2
    assert Verifier(secret.get_secret_value()).verify(body.decode(), headers)["type"] == "tactful.message"


async def test_a_receiver_with_another_secret_refuses() -> None:
    headers, body = await posted(secret=FIRST, second_secret=SECOND_SECRET)
    with pytest.raises(WebhookVerificationError):
        Verifier(OTHER.get_secret_value()).verify(body.decode(), headers)


async def test_with_one_secret_there_is_one_signature() -> None:
    headers, _ = await posted(secret=FIRST)
    assert " " not in headers["webhook-signature"]


def test_a_second_secret_of_another_form_is_refused() -> None:
    with pytest.raises(ValidationError, match="second_secret"):
        WebhookAdapterSettings(url="https://example.com", secret=FIRST, second_secret=SecretStr("whsec_short"))


def receipt_request(secret: SecretStr, at: int) -> ReceiptRequest:
    """A receipt as a foreign library signs it."""
    body = '{"receipts": [{"message_id": "msg_1", "kind": "delivered", "at": "2026-03-02T09:00:00Z"}]}'
    signature = Verifier(secret.get_secret_value()).sign("r-1", to_datetime(at), body)
    headers = {"webhook-id": "r-1", "webhook-timestamp": str(at // SECOND), "webhook-signature": signature}
    return ReceiptRequest(headers, {}, body.encode(), at)


@pytest.mark.parametrize(
    ("given", "signed_with", "is_taken"),
    [
        ({"secret": FIRST, "second_secret": SECOND_SECRET}, FIRST, True),
        ({"secret": FIRST, "second_secret": SECOND_SECRET}, SECOND_SECRET, True),
        ({"secret": FIRST, "second_secret": SECOND_SECRET}, OTHER, False),
        ({"secret": FIRST}, SECOND_SECRET, False),
        ({"second_secret": SECOND_SECRET}, SECOND_SECRET, False),
    ],
)
def test_receipts_are_taken_with_either_secret(
    given: dict[str, SecretStr], signed_with: SecretStr, is_taken: bool
) -> None:
    request, settings = receipt_request(signed_with, SystemClock().now()), WebhookSettings.model_validate(given)
    if is_taken:
        (receipt,) = read_receipts(settings, request)
        assert isinstance(receipt, Receipt) and receipt.kind == "delivered"
    else:
        with pytest.raises(ReceiptRefused):
            read_receipts(settings, request)


async def test_the_trace_of_the_event_is_passed_on_and_none_is_made_up() -> None:
    headers, _ = await posted(TRACE, secret=FIRST)
    assert headers["traceparent"] == TRACE
    headers, _ = await posted(secret=FIRST)
    assert "traceparent" not in headers
