"""Receipts and replies from Vonage: what each event means, and who may send them."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Sequence
from functools import partial
from typing import Any

import pytest
from pydantic import SecretStr

from schemas.receipt import CustomerReply, Receipt, Statement
from services.kit.errors import Malformed
from services.orchestrator.delivery.adapters.definition import ReceiptRequest
from services.orchestrator.delivery.adapters.vonage.declaration import VonageSettings
from services.orchestrator.delivery.adapters.vonage.receipts import read_claims, read_receipts
from tests.support.receipt_requests import (
    MESSAGE,
    NOW,
    SECONDS,
    body_of,
    check_form,
    kinds,
    refused,
    stands_all_headers,
    stands_everything,
    with_any_fields,
)

SECRET = "signature-secret-of-the-tests"
SETTINGS = VonageSettings(signature_secret=SecretStr(SECRET))
NUMBER = "4915112345678"
ID = "aaaaaaaa-bbbb-4ccc-8ddd-0123456789ab"
RFC_7515_KEY = "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"
RFC_7515_TOKEN = (
    "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9"
    ".eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
    ".dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
)
"""The example of RFC 7515, A.1."""


def event(status: str, code: str = "", **fields: Any) -> dict[str, Any]:
    error = {"error": {"type": f"https://developer.vonage.com/api-errors/messages#{code}", "detail": NUMBER}}
    return {
        "channel": "sms",
        "message_uuid": ID,
        "to": NUMBER,
        "from": "15017122661",
        "timestamp": "2026-03-02T08:59:59Z",
        "status": status,
        "client_ref": MESSAGE,
        **(error if code else {}),
        **fields,
    }


def text(words: Any, **fields: Any) -> dict[str, Any]:
    inbound = {name: value for name, value in event("").items() if name not in ("status", "client_ref")}
    return {**inbound, "from": NUMBER, "to": "15017122661", "message_type": "text", "text": words, **fields}


def encode(part: bytes) -> str:
    return base64.urlsafe_b64encode(part).rstrip(b"=").decode()


def token(body: bytes, age: int = 0, secret: str = SECRET, alg: str = "HS256", **claims: Any) -> str:
    """A token as Vonage makes it."""
    claims = {"iat": SECONDS - age, "iss": "Vonage", "payload_hash": hashlib.sha256(body).hexdigest(), **claims}
    signed = f"{encode(json.dumps({'alg': alg, 'typ': 'JWT'}).encode())}.{encode(json.dumps(claims).encode())}"
    return f"{signed}.{encode(hmac.new(secret.encode(), signed.encode(), hashlib.sha256).digest())}"


def signed(body: bytes, **how: Any) -> ReceiptRequest:
    return ReceiptRequest({"authorization": f"Bearer {token(body, **how)}"}, {}, body, NOW)


def read(document: Any, **how: Any) -> Sequence[Statement]:
    return read_receipts(SETTINGS, signed(body_of(document), **how))


def receipts_of(document: Any) -> list[Receipt]:
    return [each for each in read(document) if isinstance(each, Receipt)]


def test_a_published_token_is_right() -> None:
    key = base64.urlsafe_b64decode(RFC_7515_KEY + "==")
    assert read_claims(key, RFC_7515_TOKEN) == {"iss": "joe", "exp": 1300819380, "http://example.com/is_root": True}
    for wrong in (
        RFC_7515_TOKEN[:-1],
        RFC_7515_TOKEN + ".a",
        RFC_7515_TOKEN.replace(".eyJ", ".eyK"),
        "",
        "..",
        "ü.ü.ü",
    ):
        assert read_claims(key, wrong) is None
    assert read_claims(key[1:], RFC_7515_TOKEN) is None


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (event("delivered"), [("delivered", False, False)]),
        (event("read"), [("opened", False, False)]),
        (event("undeliverable"), [("bounced", False, False)]),
        (event("undeliverable", "1040"), [("bounced", True, False)]),
        (event("undeliverable", "1050"), [("bounced", False, False)]),
        (event("rejected"), [("failed", False, False)]),
        (event("rejected", "1040"), [("failed", False, False), ("bounced", True, False)]),
        (event("rejected", "1120"), [("failed", False, False)]),
        (event("submitted"), []),
        (event("delivered", channel="whatsapp"), []),
    ],
)
def test_each_event_has_its_meaning(document: dict[str, Any], expected: list[tuple[str, bool, bool]]) -> None:
    receipts = receipts_of(document)
    assert kinds(receipts) == expected
    assert {(each.message_id, each.at) for each in receipts} <= {(MESSAGE, NOW - 1_000_000)}
    check_form(receipts, "vonage")
    assert NUMBER not in repr(receipts)


def test_a_statement_has_one_key_however_often_it_comes() -> None:
    keys = [receipts_of(each)[0].key for each in (event("delivered"), event("delivered", timestamp="2026-03-02"))]
    assert keys[0] == keys[1]
    assert receipts_of(event("undeliverable"))[0].key != keys[0]


def test_a_reply_is_read_whole() -> None:
    (reply,) = read(text("Ja, größte Freude"))
    assert isinstance(reply, CustomerReply)
    assert (reply.channel, reply.address, reply.text) == ("sms", f"+{NUMBER}", "Ja, größte Freude")
    assert (reply.at, reply.keyword) == (NOW - 1_000_000, None)


@pytest.mark.parametrize("fields", [{"from": "Shop"}, {"from": None}, {"channel": "whatsapp"}, {"message_uuid": ""}])
def test_what_is_no_reply_on_this_channel_is_left_out(fields: dict[str, Any]) -> None:
    assert read(text("STOP", **fields)) == []


def test_without_a_secret_everything_is_refused() -> None:
    whole = signed(body_of(event("delivered")))
    refused(lambda: read_receipts(VonageSettings(), whole), "TACTFUL_VONAGE__SIGNATURE_SECRET")


def test_what_is_forged_is_refused() -> None:
    body = body_of(event("undeliverable", "1040"))
    forged = [
        signed(body, secret="another-secret-of-somebody"),
        signed(body, alg="none"),
        signed(body, alg="HS512"),
        signed(body, payload_hash=""),
        signed(body, payload_hash=hashlib.sha256(b"{}").hexdigest()),
        ReceiptRequest(signed(b"{}").headers, {}, body, NOW),
        ReceiptRequest({}, {}, body, NOW),
        ReceiptRequest({"authorization": f"Basic {token(body)}"}, {}, body, NOW),
    ]
    for each in forged:
        refused(partial(read_receipts, SETTINGS, each), "TACTFUL_VONAGE__SIGNATURE_SECRET")


@pytest.mark.parametrize(("age", "is_taken"), [(300, True), (301, False), (-300, True), (-301, False)])
def test_a_request_is_of_these_minutes(age: int, is_taken: bool) -> None:
    if is_taken:
        assert len(read(event("delivered"), age=age)) == 1
    else:
        refused(lambda: read(event("delivered"), age=age), "iat")


@pytest.mark.parametrize("iat", [None, "1772442000", 1.5, True])
def test_a_token_without_its_time_is_refused(iat: Any) -> None:
    refused(lambda: read(event("delivered"), iat=iat), "iat")


@pytest.mark.parametrize("body", [b"", b"[]", b"[", b"7"])
def test_what_is_no_object_is_malformed(body: bytes) -> None:
    with pytest.raises(Malformed):
        read_receipts(SETTINGS, signed(body))


def test_nothing_else_is_raised_whatever_arrives() -> None:
    def read_signed(body: bytes) -> Sequence[Receipt]:
        return [each for each in read_receipts(SETTINGS, signed(body)) if isinstance(each, Receipt)]

    stands_everything(read_signed, with_any_fields(event("rejected", "1040")) | with_any_fields(text("STOP")))


def test_headers_of_nobody_are_refused() -> None:
    stands_all_headers(lambda each: read_receipts(SETTINGS, each), ["authorization"])
