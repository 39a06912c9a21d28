"""Receipts and replies from Telnyx: what each event means, and who may send them."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import strategies as st

from schemas.receipt import CustomerReply, Receipt, Statement
from services.kit.errors import Malformed
from services.orchestrator.delivery.adapters.definition import ReceiptRequest
from services.orchestrator.delivery.adapters.telnyx.declaration import TelnyxSettings
from services.orchestrator.delivery.adapters.telnyx.receipts import read_receipts
from tests.support.receipt_requests import (
    MESSAGE,
    NOW,
    SECONDS,
    any_json,
    body_of,
    check_form,
    kinds,
    refused,
    stands_all_headers,
    stands_everything,
    with_any_fields,
)

PRIVATE = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = base64.b64encode(PRIVATE.public_key().public_bytes_raw()).decode()
SETTINGS = TelnyxSettings(public_key=PUBLIC)
NUMBER = "+4915112345678"
URL = f"https://shop.example/v1/receipts/telnyx?tactful_message={MESSAGE}"
ID = "b301ed3f-1490-491f-995f-6e64e69674d4"


def finalized(status: str, code: str = "", **fields: Any) -> dict[str, Any]:
    payload = {
        "id": "40385f64-5717-4562-b3fc-2c963f66afa6",
        "to": [{"phone_number": NUMBER, "status": status, "carrier": "x"}],
        "from": {"phone_number": "+15017122661"},
        "errors": [{"code": code, "title": f"No {NUMBER}"}] if code else [],
        "webhook_url": URL,
        **fields,
    }
    return event("message.finalized", payload)


def received(text: Any, sender: Any = NUMBER) -> dict[str, Any]:
    return event("message.received", {"from": {"phone_number": sender}, "text": text, "type": "SMS"})


def event(kind: str, payload: Any, id: str = ID) -> dict[str, Any]:
    occurred = "2026-03-02T08:59:59.000+00:00"
    return {"data": {"event_type": kind, "id": id, "occurred_at": occurred, "payload": payload}}


def signed(
    body: bytes, age: int = 0, key: Ed25519PrivateKey = PRIVATE, query: Mapping[str, str] | None = None
) -> ReceiptRequest:
    """A request as Telnyx signs it."""
    seconds = str(SECONDS - age)
    signature = base64.b64encode(key.sign(seconds.encode() + b"|" + body)).decode()
    headers = {"telnyx-signature-ed25519": signature, "telnyx-timestamp": seconds}
    return ReceiptRequest(headers, query or {}, body, NOW)


def read(document: Any, **how: Any) -> Sequence[Statement]:
    return read_receipts(SETTINGS, signed(body_of(document), **how))


def receipts_of(document: Any, **how: Any) -> list[Receipt]:
    return [each for each in read(document, **how) if isinstance(each, Receipt)]


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (finalized("delivered"), [("delivered", False, False)]),
        (finalized("delivery_failed"), [("bounced", False, False)]),
        (finalized("delivery_failed", "40001"), [("bounced", True, False)]),
        (finalized("delivery_failed", "40008"), [("bounced", False, False)]),
        (finalized("delivery_failed", "40300"), [("failed", False, False), ("unsubscribed", False, False)]),
        (finalized("expired"), [("bounced", False, False)]),
        (finalized("sending_failed"), [("failed", False, False)]),
        (finalized("sending_failed", "40001"), [("failed", False, False), ("bounced", True, False)]),
        (finalized("sending_failed", "40300"), [("failed", False, False), ("unsubscribed", False, False)]),
        (finalized("delivered", "40001"), [("delivered", False, False)]),
        (finalized("delivery_unconfirmed"), []),
        (finalized("sent"), []),
        (event("message.sent", {"webhook_url": URL, "to": [{"status": "delivered"}]}), []),
    ],
)
def test_each_event_has_its_meaning(document: dict[str, Any], expected: list[tuple[str, bool, bool]]) -> None:
    receipts = receipts_of(document)
    assert kinds(receipts) == expected
    assert {(each.message_id, each.at) for each in receipts} <= {(MESSAGE, NOW - 1_000_000)}
    check_form(receipts, "telnyx")
    assert NUMBER not in repr(receipts)


def test_the_body_says_which_message_it_is_before_the_url_does() -> None:
    document = finalized("delivered")
    assert receipts_of(document, query={"tactful_message": "msg_of_another"})[0].message_id == MESSAGE
    without = finalized("delivered", webhook_url="")
    assert receipts_of(without, query={"tactful_message": MESSAGE})[0].message_id == MESSAGE
    assert receipts_of(without) == []


def test_an_event_counts_once_whatever_the_url_says() -> None:
    without = finalized("delivered", webhook_url="")
    first, second = (receipts_of(without, query={"tactful_message": each})[0] for each in (MESSAGE, "msg_2"))
    assert first.key == second.key


def test_a_reply_is_read_whole() -> None:
    (reply,) = read(received("Ja, größte Freude"))
    assert isinstance(reply, CustomerReply)
    assert (reply.channel, reply.address, reply.text) == ("sms", NUMBER, "Ja, größte Freude")
    assert (reply.at, reply.keyword) == (NOW - 1_000_000, None)
    assert [each.key for each in read(received("Ja, größte Freude"))] == [reply.key]


@pytest.mark.parametrize("document", [received("STOP", "24680"), received("STOP", None), event("message.received", [])])
def test_what_is_no_reply_on_this_channel_is_left_out(document: dict[str, Any]) -> None:
    assert read(document) == []


def test_without_a_key_everything_is_refused() -> None:
    whole = signed(body_of(finalized("delivered")))
    refused(lambda: read_receipts(TelnyxSettings(), whole), "TACTFUL_TELNYX__PUBLIC_KEY")


def test_what_is_forged_is_refused() -> None:
    right = signed(body_of(finalized("delivered")))
    other = signed(right.body, key=Ed25519PrivateKey.from_private_bytes(bytes(32)))
    changed = ReceiptRequest(right.headers, {}, body_of(finalized("delivery_failed", "40001")), NOW)
    later = ReceiptRequest({**right.headers, "telnyx-timestamp": str(SECONDS + 1)}, {}, right.body, NOW)
    for forged in (other, changed, later, ReceiptRequest({}, {}, right.body, NOW)):
        refused(partial(read_receipts, SETTINGS, forged), "TACTFUL_TELNYX__PUBLIC_KEY")


@pytest.mark.parametrize(("age", "is_taken"), [(300, True), (301, False), (-300, True), (-301, False)])
def test_a_request_is_of_these_minutes(age: int, is_taken: bool) -> None:
    if is_taken:
        assert len(read(finalized("delivered"), age=age)) == 1
    else:
        refused(lambda: read(finalized("delivered"), age=age), "telnyx-timestamp")


@pytest.mark.parametrize("body", [b"", b"[]", b"[", b"7"])
def test_what_is_no_object_is_malformed(body: bytes) -> None:
    with pytest.raises(Malformed):
        read_receipts(SETTINGS, signed(body))


def test_nothing_else_is_raised_whatever_arrives() -> None:
    def read_signed(body: bytes) -> Sequence[Receipt]:
        return [each for each in read_receipts(SETTINGS, signed(body)) if isinstance(each, Receipt)]

    documents = with_any_fields(finalized("delivery_failed", "40001")) | with_any_fields(received("STOP"))
    stands_everything(read_signed, documents | st.fixed_dictionaries({"data": any_json()}))


def test_headers_of_nobody_are_refused() -> None:
    stands_all_headers(lambda each: read_receipts(SETTINGS, each), ["telnyx-signature-ed25519", "telnyx-timestamp"])
