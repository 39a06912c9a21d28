"""Receipts of Resend: what each event means, and who may send them."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest
from pydantic import SecretStr
from standardwebhooks.webhooks import Webhook

from schemas.receipt import Receipt
from schemas.times import MINUTE, SECOND, parse_instant
from services.kit.errors import Malformed
from services.orchestrator.delivery.adapters.definition import ReceiptRequest
from services.orchestrator.delivery.adapters.resend.declaration import ResendSettings
from services.orchestrator.delivery.adapters.resend.receipts import read_receipts
from tests.support.receipt_requests import (
    ADDRESS,
    MESSAGE,
    NOW,
    SECONDS,
    body_of,
    check_form,
    kinds,
    refused,
    request,
    stands_all_headers,
    stands_everything,
    with_any_fields,
)

SECRET = "whsec_" + base64.b64encode(bytes(range(24))).decode()
SETTINGS = ResendSettings(signing_secret=SecretStr(SECRET))


def event(type: str, tags: Any = None, **data: Any) -> dict[str, Any]:
    tags = {"tactful_message": MESSAGE} if tags is None else tags
    fields = {"email_id": "56761188", "to": [ADDRESS], "subject": "Hi", "tags": tags, **data}
    return {"type": type, "created_at": "2026-03-02T08:59:30.126Z", "data": fields}


def signed(body: bytes, id: str = "msg_svix", age: int = 0, secret: str = SECRET) -> ReceiptRequest:
    """As Svix signs it, by the reference implementation."""
    seconds = SECONDS - age
    signature = Webhook(secret).sign(id, datetime.fromtimestamp(seconds, UTC), body.decode("latin-1"))
    assert body.isascii()
    return request(body, {"svix-id": id, "svix-timestamp": str(seconds), "svix-signature": signature})


def read(document: Any, **how: Any) -> Sequence[Receipt]:
    return read_receipts(SETTINGS, signed(body_of(document), **how))


def without(whole: ReceiptRequest, *names: str, **others: str) -> ReceiptRequest:
    headers: Mapping[str, str] = {name: value for name, value in whole.headers.items() if name not in names}
    return request(whole.body, {**headers, **others})


@pytest.mark.parametrize(
    ("type", "data", "expected"),
    [
        ("email.delivered", {}, [("delivered", False, False)]),
        ("email.bounced", {"bounce": {"type": "Permanent", "subType": "General"}}, [("bounced", True, False)]),
        ("email.bounced", {"bounce": {"type": "Transient", "subType": "MailboxFull"}}, [("bounced", False, False)]),
        ("email.bounced", {"bounce": {"type": "Undetermined"}}, [("bounced", False, False)]),
        ("email.bounced", {}, [("bounced", False, False)]),
        ("email.suppressed", {}, [("failed", False, False), ("bounced", True, False)]),
        ("email.failed", {"failed": {"reason": "reached_daily_quota"}}, [("failed", False, False)]),
        ("email.complained", {}, [("complained", False, False)]),
        ("email.opened", {}, [("opened", False, False)]),
        ("email.clicked", {"click": {"link": "https://shop.example"}}, [("clicked", False, False)]),
        ("email.sent", {}, []),
        ("email.delivery_delayed", {}, []),
        ("email.scheduled", {}, []),
        ("email.received", {}, []),
        ("contact.created", {}, []),
    ],
)
def test_each_event_has_its_meaning(type: str, data: dict[str, Any], expected: list[tuple[str, bool, bool]]) -> None:
    receipts = read(event(type, **data))
    assert kinds(receipts) == expected
    assert {each.message_id for each in receipts} <= {MESSAGE}
    assert {each.at for each in receipts} <= {parse_instant("2026-03-02T08:59:30.126Z")}
    check_form(receipts, "resend")


def test_the_detail_is_the_type_of_a_bounce_and_never_a_text() -> None:
    bounce = {"type": "Permanent", "subType": "General", "message": f"no mailbox {ADDRESS}"}
    assert [each.detail for each in read(event("email.bounced", bounce=bounce))] == ["Permanent, General"]
    strange = {"type": "Permanent", "subType": f"<{ADDRESS}>"}
    assert [each.detail for each in read(event("email.bounced", bounce=strange))] == ["Permanent"]


def test_tags_may_be_a_list() -> None:
    tags = [{"name": "other", "value": "x"}, 7, {"name": "tactful_message", "value": MESSAGE}]
    assert [each.message_id for each in read(event("email.delivered", tags=tags))] == [MESSAGE]


@pytest.mark.parametrize("tags", [{}, [], "x", {"tactful_message": [7]}, {"tactful_message": ADDRESS}, [{"name": "a"}]])
def test_events_of_others_are_left_out(tags: Any) -> None:
    assert read(event("email.bounced", tags=tags)) == []


def test_what_is_repeated_has_the_same_key_and_another_event_has_another() -> None:
    bounce = event("email.bounced")
    (first,), (again,), (other,) = read(bounce), read(bounce, age=200), read(bounce, id="msg_other")
    assert first.key == again.key != other.key


def test_without_a_secret_everything_is_refused() -> None:
    whole = signed(body_of(event("email.bounced")))
    refused(lambda: read_receipts(ResendSettings(), whole), "TACTFUL_RESEND__SIGNING_SECRET")
    unusable = ResendSettings(signing_secret=SecretStr("not a secret of svix"))
    refused(lambda: read_receipts(unusable, whole), "TACTFUL_RESEND__SIGNING_SECRET", "whsec_")


def test_what_is_forged_is_refused() -> None:
    whole = signed(body_of(event("email.bounced")))
    another = "whsec_" + base64.b64encode(bytes(24)).decode()
    refused(lambda: read(event("email.bounced"), secret=another), "svix-signature")
    refused(lambda: read_receipts(SETTINGS, request(whole.body + b" ", whole.headers)), "svix-signature")
    refused(lambda: read_receipts(SETTINGS, without(whole, **{"svix-id": "msg_2"})), "svix-signature")
    refused(lambda: read_receipts(SETTINGS, without(whole, **{"svix-timestamp": str(SECONDS - 1)})), "svix-signature")
    for name in ("svix-id", "svix-timestamp", "svix-signature"):
        refused(partial(read_receipts, SETTINGS, without(whole, name)), "svix-")


def test_one_of_several_signatures_is_enough() -> None:
    whole = signed(body_of(event("email.bounced")))
    several = f"v1,AAAA v1a,BBBB {whole.headers['svix-signature']}"
    assert len(read_receipts(SETTINGS, without(whole, **{"svix-signature": several}))) == 1


@pytest.mark.parametrize(("age", "is_taken"), [(300, True), (301, False), (-300, True), (-301, False)])
def test_a_request_is_taken_for_five_minutes(age: int, is_taken: bool) -> None:
    if is_taken:
        assert len(read(event("email.bounced"), age=age)) == 1
    else:
        refused(lambda: read(event("email.bounced"), age=age), "svix-timestamp", "300 s")


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("2026-03-02T08:59:30.5Z", NOW - 30 * SECOND + 500_000),
        ("2026-03-02 08:59:00+00", NOW - MINUTE),
        ("2026-03-02T09:59:00.000000+01:00", NOW - MINUTE),
        ("yesterday", NOW),
        (None, NOW),
    ],
)
def test_times_have_several_forms_and_one_that_cannot_be_read_is_that_of_arrival(written: Any, expected: int) -> None:
    (receipt,) = read({**event("email.bounced"), "created_at": written})
    assert receipt.at == expected


@pytest.mark.parametrize("body", [b"", b"[]", b"[", b"7"])
def test_what_is_no_object_is_malformed_once_it_is_known_who_sends_it(body: bytes) -> None:
    with pytest.raises(Malformed):
        read_receipts(SETTINGS, signed(body))


def test_nothing_else_is_raised_whatever_arrives() -> None:
    bounce = event("email.bounced", bounce={"type": "Permanent", "subType": "General"})
    names = ["svix-id", "svix-timestamp", "svix-signature"]
    stands_all_headers(lambda whole: read_receipts(SETTINGS, whole), names)
    stands_everything(lambda body: read_receipts(SETTINGS, signed_bytes(body)), with_any_fields(bounce))


def signed_bytes(body: bytes) -> ReceiptRequest:
    """As `signed`, for bytes that are no text."""
    digest = hmac_of(body)
    return request(body, {"svix-id": "msg_1", "svix-timestamp": str(SECONDS), "svix-signature": f"v1,{digest}"})


def hmac_of(body: bytes) -> str:
    text = f"msg_1.{SECONDS}.".encode() + body
    return base64.b64encode(hmac.new(bytes(range(24)), text, hashlib.sha256).digest()).decode()
