"""Receipts of Postmark: what each event means, and who may send them."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from schemas.receipt import Receipt
from schemas.times import MINUTE
from services.kit.errors import Malformed
from services.orchestrator.delivery.adapters.definition import ReceiptRequest
from services.orchestrator.delivery.adapters.postmark.declaration import PostmarkSettings
from services.orchestrator.delivery.adapters.postmark.receipts import RECORDS, read_receipts
from tests.support.receipt_requests import (
    ADDRESS,
    MESSAGE,
    NOW,
    body_of,
    check_form,
    kinds,
    refused,
    request,
    stands_all_headers,
    stands_everything,
    with_any_fields,
)

PASSWORD = "a-password:of-postmark"
SETTINGS = PostmarkSettings(receipt_user="postmark", receipt_password=SecretStr(PASSWORD))


def event(record: str, **fields: Any) -> dict[str, Any]:
    field, _ = RECORDS.get(record, ("", ()))
    return {
        "RecordType": record,
        "MessageID": "883953f4-6105-42a2-a16a-77a8eac79483",
        "Recipient": ADDRESS,
        "Email": ADDRESS,
        field: "2026-03-02T08:59:00.0000009Z",
        "Metadata": {"tactful_message": MESSAGE},
        "Tag": "",
        **fields,
    }


def bounce(type: str, **fields: Any) -> dict[str, Any]:
    return event("Bounce", Type=type, TypeCode=1, ID=692560173, Description=f"{ADDRESS} is gone", **fields)


def basic(credentials: str, scheme: str = "Basic") -> dict[str, str]:
    return {"authorization": f"{scheme} {base64.b64encode(credentials.encode()).decode()}"}


def signed(body: bytes) -> ReceiptRequest:
    return request(body, basic(f"postmark:{PASSWORD}"))


def read(document: Any) -> Sequence[Receipt]:
    return read_receipts(SETTINGS, signed(body_of(document)))


BOUNCES: Sequence[tuple[str, Sequence[tuple[str, bool, bool]]]] = (
    ("SoftBounce Transient DnsError Blocked DMARCPolicy VirusNotification Unknown New", [("bounced", False, False)]),
    ("HardBounce BadEmailAddress", [("bounced", True, False)]),
    ("SpamNotification SpamComplaint", [("complained", False, False)]),
    ("ManuallyDeactivated Unconfirmed SMTPApiError TemplateRenderingFailed", [("failed", False, False)]),
    ("Unsubscribe", [("unsubscribed", False, False)]),
    ("AutoResponder AddressChange ChallengeVerification Subscribe InboundError OpenRelayTest", []),
)
"""Types of bounces that mean the same, and what."""


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (event("Delivery", Details="250 OK"), [("delivered", False, False)]),
        *((bounce(type), expected) for types, expected in BOUNCES for type in types.split()),
        (event("SpamComplaint", Type="SpamComplaint"), [("complained", False, False)]),
        (event("Open", FirstOpen=True), [("opened", False, False)]),
        (event("Click", OriginalLink="https://shop.example/"), [("clicked", False, False)]),
        (event("SubscriptionChange", SuppressSending=True, SuppressionReason="HardBounce"), [("bounced", True, False)]),
        (
            event("SubscriptionChange", SuppressSending=True, SuppressionReason="SpamComplaint"),
            [("complained", False, False)],
        ),
        (
            event("SubscriptionChange", SuppressSending=True, SuppressionReason="ManualSuppression"),
            [("unsubscribed", False, False)],
        ),
        (event("SubscriptionChange", SuppressSending=True), [("unsubscribed", False, False)]),
        (event("SubscriptionChange", SuppressSending=False, SuppressionReason="HardBounce"), []),
        (event("SubscriptionChange"), []),
        (event("Inbound"), []),
        (event(""), []),
    ],
)
def test_each_event_has_its_meaning(document: dict[str, Any], expected: list[tuple[str, bool, bool]]) -> None:
    receipts = read(document)
    assert kinds(receipts) == expected
    assert {(each.message_id, each.at) for each in receipts} <= {(MESSAGE, NOW - MINUTE)}
    check_form(receipts, "postmark")


def test_the_detail_has_codes_and_never_a_text() -> None:
    assert [each.detail for each in read(bounce("HardBounce"))] == ["HardBounce"]
    assert [each.detail for each in read(bounce(f"no {ADDRESS}"))] == [None]
    change = event("SubscriptionChange", SuppressSending=True, SuppressionReason="ManualSuppression")
    assert [each.detail for each in read(change)] == ["ManualSuppression"]


@pytest.mark.parametrize("metadata", [None, {}, [], "x", {"tactful_message": ADDRESS}, {"other": MESSAGE}])
def test_events_of_others_are_left_out(metadata: Any) -> None:
    assert read({**bounce("HardBounce"), "Metadata": metadata}) == []


def test_what_is_repeated_has_the_same_key_and_another_event_has_another() -> None:
    click = event("Click", OriginalLink="https://shop.example/a")
    (first,), (again,) = read(click), read({**click, "Tag": "x"})
    assert first.key == again.key
    changes: Sequence[dict[str, Any]] = [
        {"RecordType": "Open"},
        {"ReceivedAt": "2026-03-02T08:59:01Z"},
        {"OriginalLink": "https://shop.example/b"},
        {"Recipient": "eda@example.org"},
        {"MessageID": "another"},
    ]
    assert len({read({**click, **each})[0].key for each in changes} | {first.key}) == len(changes) + 1


@pytest.mark.parametrize(
    ("missing", "variable"),
    [
        ({"receipt_user": None}, "TACTFUL_POSTMARK__RECEIPT_USER"),
        ({"receipt_password": None}, "TACTFUL_POSTMARK__RECEIPT_PASSWORD"),
    ],
)
def test_without_user_or_password_everything_is_refused(missing: dict[str, Any], variable: str) -> None:
    whole = request(body_of(bounce("HardBounce")), basic(":"))
    refused(lambda: read_receipts(SETTINGS.model_copy(update=missing), whole), variable)


def test_a_short_password_and_a_user_with_a_colon_stop_the_start() -> None:
    with pytest.raises(ValidationError, match="16 characters"):
        PostmarkSettings(receipt_password=SecretStr("x" * 15))
    with pytest.raises(ValidationError):
        PostmarkSettings(receipt_user="a:b")


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": ""},
        {"authorization": "Basic"},
        {"authorization": "Basic !!"},
        {"authorization": "Basic ü"},
        basic("postmark:"),
        basic(f"another:{PASSWORD}"),
        basic(f"postmark:{PASSWORD}x"),
        basic(f"postmark:{PASSWORD}", scheme="Bearer"),
    ],
)
def test_what_is_forged_is_refused(headers: dict[str, str]) -> None:
    whole = request(body_of(bounce("HardBounce")), headers)
    refused(lambda: read_receipts(SETTINGS, whole), "TACTFUL_POSTMARK__RECEIPT_USER")


def test_the_scheme_may_be_written_in_any_case() -> None:
    whole = request(body_of(bounce("HardBounce")), basic(f"postmark:{PASSWORD}", scheme="basic"))
    assert len(read_receipts(SETTINGS, whole)) == 1


@pytest.mark.parametrize("body", [b"", b"[]", b"[", b"7"])
def test_what_is_no_object_is_malformed_once_it_is_known_who_sends_it(body: bytes) -> None:
    with pytest.raises(Malformed):
        read_receipts(SETTINGS, signed(body))


def test_nothing_else_is_raised_whatever_arrives() -> None:
    stands_all_headers(lambda whole: read_receipts(SETTINGS, whole), ["authorization"])
    stands_everything(lambda body: read_receipts(SETTINGS, signed(body)), with_any_fields(bounce("HardBounce")))
