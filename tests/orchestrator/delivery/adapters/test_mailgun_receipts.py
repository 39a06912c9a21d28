"""Receipts of Mailgun: what each event means, and who may send them."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from functools import partial
from typing import Any

import pytest
from hypothesis import strategies as st
from pydantic import SecretStr

from schemas.receipt import Receipt
from services.kit.errors import Malformed
from services.orchestrator.delivery.adapters.mailgun.declaration import MailgunSettings
from services.orchestrator.delivery.adapters.mailgun.receipts import read_receipts
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
    stands_everything,
    with_any_fields,
)

KEY = "key-of-the-webhooks-0123"
SETTINGS = MailgunSettings(signing_key=SecretStr(KEY))
TOKEN = "4a8ce6b1c5e0" * 4


def event(name: str, **fields: Any) -> dict[str, Any]:
    return {
        "event": name,
        "id": "G9Bn5sl1TC6nu79C8C0bwg",
        "timestamp": SECONDS - 0.25,
        "recipient": ADDRESS,
        "user-variables": {"tactful_message": MESSAGE},
        **fields,
    }


def failure(severity: str, reason: str, code: Any = 550) -> dict[str, Any]:
    status = {"code": code, "message": f"no mailbox {ADDRESS}"}
    return event("failed", severity=severity, reason=reason, **{"delivery-status": status})


def signature(age: int = 0, token: str = TOKEN, key: str = KEY) -> dict[str, str]:
    seconds = str(SECONDS - age)
    digest = hmac.new(key.encode(), f"{seconds}{token}".encode(), hashlib.sha256).hexdigest()
    return {"timestamp": seconds, "token": token, "signature": digest}


def read(data: Any, **how: Any) -> Sequence[Receipt]:
    return read_signed(data, signature(**how))


def read_signed(data: Any, signature: Any) -> Sequence[Receipt]:
    return read_receipts(SETTINGS, request(body_of({"signature": signature, "event-data": data}), {}))


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (event("delivered"), [("delivered", False, False)]),
        (failure("permanent", "bounce"), [("bounced", True, False)]),
        (failure("permanent", "generic"), [("bounced", True, False)]),
        (failure("permanent", "hardfail"), [("bounced", True, False)]),
        (failure("permanent", ""), [("bounced", True, False)]),
        (failure("permanent", "old", 602), [("bounced", False, False)]),
        (failure("permanent", "greylisted"), [("bounced", False, False)]),
        (failure("permanent", "espblock"), [("bounced", False, False)]),
        (failure("permanent", "suppress-bounce", 605), [("bounced", True, False)]),
        (failure("permanent", "suppress-complaint", 607), [("complained", False, False)]),
        (failure("permanent", "suppress-unsubscribe", 606), [("unsubscribed", False, False)]),
        (failure("temporary", "generic", 452), []),
        (failure("", "bounce"), []),
        (event("rejected"), [("failed", False, False)]),
        (event("complained"), [("complained", False, False)]),
        (event("unsubscribed"), [("unsubscribed", False, False)]),
        (event("opened"), [("opened", False, False)]),
        (event("opened", **{"client-info": {"bot": ""}}), [("opened", False, False)]),
        (event("opened", **{"client-info": {"bot": "apple"}}), [("opened", False, True)]),
        (event("clicked", url="https://shop.example"), [("clicked", False, False)]),
        (event("clicked", **{"client-info": {"bot": "generic"}}), [("clicked", False, True)]),
        (event("accepted"), []),
        (event("stored"), []),
    ],
)
def test_each_event_has_its_meaning(data: dict[str, Any], expected: list[tuple[str, bool, bool]]) -> None:
    receipts = read(data)
    assert kinds(receipts) == expected
    assert {(each.message_id, each.at) for each in receipts} <= {(MESSAGE, NOW - 250_000)}
    check_form(receipts, "mailgun")


def test_the_detail_has_codes_and_never_a_text() -> None:
    assert [each.detail for each in read(failure("permanent", "bounce"))] == ["550, permanent, bounce"]
    assert [each.detail for each in read(failure("permanent", ADDRESS, f"to {ADDRESS}"))] == ["permanent"]


@pytest.mark.parametrize("variables", [None, {}, [], "x", {"tactful_message": ADDRESS}, {"other": MESSAGE}])
def test_events_of_others_are_left_out(variables: Any) -> None:
    assert read(event("delivered", **{"user-variables": variables})) == []


@pytest.mark.parametrize("data", [None, [], "x", {}])
def test_what_has_no_event_is_left_out(data: Any) -> None:
    assert read(data) == []


def test_a_token_counts_once_whatever_stands_beside_it() -> None:
    (first,) = read(event("opened"))
    others = [
        event("complained"),
        failure("permanent", "suppress-bounce"),
        event("complained", **{"user-variables": {"tactful_message": "msg_2"}}),
        event("opened", timestamp=SECONDS, id="another"),
    ]
    assert {each.key for data in others for each in read(data)} == {first.key}
    assert read(event("opened"), token="another")[0].key != first.key


def test_a_digit_moved_from_the_token_to_the_time_makes_no_other_token() -> None:
    whole = signature()
    later = {**whole, "timestamp": whole["timestamp"] + TOKEN[0], "token": TOKEN[1:]}
    earlier = {**whole, "timestamp": whole["timestamp"][:-1], "token": whole["timestamp"][-1] + TOKEN}
    for moved in (later, earlier):
        refused(partial(read_signed, event("complained"), moved), "timestamp")


def test_without_a_key_everything_is_refused() -> None:
    whole = request(body_of({"signature": signature(), "event-data": event("delivered")}), {})
    refused(lambda: read_receipts(MailgunSettings(), whole), "TACTFUL_MAILGUN__SIGNING_KEY")


@pytest.mark.parametrize(
    "forged",
    [
        None,
        [],
        {},
        signature(key="another-key-of-webhooks"),
        {**signature(), "timestamp": str(SECONDS - 1)},
        {**signature(), "token": "another"},
        {**signature(), "signature": ""},
        {**signature(), "signature": "ü"},
        {**signature(), "signature": None},
        {**signature(), "token": None},
        signature(token=""),
    ],
)
def test_what_is_forged_is_refused(forged: Any) -> None:
    refused(lambda: read_signed(event("complained"), forged), "TACTFUL_MAILGUN__SIGNING_KEY")


@pytest.mark.parametrize(("age", "is_taken"), [(9 * 3600, True), (9 * 3600 + 1, False), (-300, True), (-301, False)])
def test_a_request_is_taken_for_as_long_as_mailgun_repeats_it(age: int, is_taken: bool) -> None:
    if is_taken:
        assert len(read(event("delivered"), age=age)) == 1
    else:
        refused(lambda: read(event("delivered"), age=age), "timestamp")


@pytest.mark.parametrize("body", [b"", b"[]", b"[", b"7"])
def test_what_is_no_object_is_malformed(body: bytes) -> None:
    with pytest.raises(Malformed):
        read_receipts(SETTINGS, request(body, {}))


def test_nothing_else_is_raised_whatever_arrives() -> None:
    bounce = {**failure("permanent", "bounce"), "client-info": {"bot": "x"}}
    signed = st.fixed_dictionaries({"signature": st.just(signature()), "event-data": with_any_fields(bounce)})
    unsigned = with_any_fields({"signature": signature(), "event-data": bounce})
    stands_everything(lambda body: read_receipts(SETTINGS, request(body, {})), signed | unsigned)
