"""Receipts of SendGrid: what each event means, and who may send them."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from functools import partial
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pydantic import ValidationError

from schemas.receipt import Receipt
from schemas.times import MINUTE, SECOND
from services.kit.errors import Malformed
from services.kit.runtime.settings import load_settings
from services.orchestrator.delivery.adapters.definition import ReceiptRequest
from services.orchestrator.delivery.adapters.provider_receipts import MAX_BODY
from services.orchestrator.delivery.adapters.sendgrid.declaration import SendgridSettings
from services.orchestrator.delivery.adapters.sendgrid.receipts import (
    SIGNATURE_HEADER,
    TIMESTAMP_HEADER,
    read_receipts,
)
from services.orchestrator.settings import OrchestratorSettings
from tests.support.receipt_requests import (
    ADDRESS,
    MESSAGE,
    NOW,
    SECONDS,
    any_json,
    body_of,
    check_form,
    kinds,
    refused,
    request,
    stands_all_headers,
    stands_everything,
    with_any_fields,
)

PRIVATE = ec.derive_private_key(2**200 + 7, ec.SECP256R1())
ANOTHER = ec.derive_private_key(2**200 + 9, ec.SECP256R1())


def public(key: ec.EllipticCurvePrivateKey) -> str:
    """The key as SendGrid shows it."""
    return base64.b64encode(key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode()


SETTINGS = SendgridSettings(verification_key=public(PRIVATE))


def event(name: str, **fields: Any) -> dict[str, Any]:
    return {
        "email": ADDRESS,
        "timestamp": SECONDS - 60,
        "event": name,
        "sg_event_id": "ZGVsaXZlcmVk",
        "sg_message_id": "14c5d75ce93.dfd.64b469",
        "tactful_message": MESSAGE,
        **fields,
    }


def signed(body: bytes, age: int = 0, key: ec.EllipticCurvePrivateKey = PRIVATE) -> ReceiptRequest:
    seconds = str(SECONDS - age)
    signature = base64.b64encode(key.sign(seconds.encode() + body, ec.ECDSA(SHA256()))).decode()
    return request(body, {SIGNATURE_HEADER: signature, TIMESTAMP_HEADER: seconds})


def read(*events: Any, **how: Any) -> Sequence[Receipt]:
    return read_receipts(SETTINGS, signed(body_of(events), **how))


@pytest.mark.parametrize(
    ("name", "fields", "expected"),
    [
        ("delivered", {"response": "250 OK"}, [("delivered", False, False)]),
        ("bounce", {"type": "bounce", "status": "5.1.1"}, [("bounced", True, False)]),
        ("bounce", {"type": "blocked", "status": "5.7.1"}, [("bounced", False, False)]),
        ("bounce", {"type": "expired"}, [("bounced", False, False)]),
        ("bounce", {}, [("bounced", False, False)]),
        ("dropped", {"reason": "Bounced Address"}, [("failed", False, False), ("bounced", True, False)]),
        ("dropped", {"reason": "Invalid"}, [("failed", False, False), ("bounced", True, False)]),
        ("dropped", {"reason": "Spam Reporting Address"}, [("failed", False, False), ("complained", False, False)]),
        ("dropped", {"reason": "Unsubscribed Address"}, [("failed", False, False), ("unsubscribed", False, False)]),
        ("dropped", {"reason": "Recipient List over Package Quota"}, [("failed", False, False)]),
        ("dropped", {}, [("failed", False, False)]),
        ("spamreport", {}, [("complained", False, False)]),
        ("unsubscribe", {}, [("unsubscribed", False, False)]),
        ("group_unsubscribe", {"asm_group_id": 1}, [("unsubscribed", False, False)]),
        ("open", {"sg_machine_open": False}, [("opened", False, False)]),
        ("open", {"sg_machine_open": True}, [("opened", False, True)]),
        ("open", {}, [("opened", False, False)]),
        ("click", {"url": "https://shop.example/?who=ada"}, [("clicked", False, False)]),
        ("processed", {}, []),
        ("deferred", {"attempt": "5"}, []),
        ("group_resubscribe", {}, []),
        ("account_status_change", {"type": "compliance_suspend"}, []),
    ],
)
def test_each_event_has_its_meaning(name: str, fields: dict[str, Any], expected: list[tuple[str, bool, bool]]) -> None:
    receipts = read(event(name, **fields))
    assert kinds(receipts) == expected
    assert {(each.message_id, each.at) for each in receipts} <= {(MESSAGE, NOW - MINUTE)}
    check_form(receipts, "sendgrid")


def test_the_detail_has_codes_and_never_a_text() -> None:
    (bounce,) = read(event("bounce", type="bounce", status="5.1.1", reason=f"550 no mailbox {ADDRESS}"))
    assert bounce.detail == "bounce, 5.1.1"
    assert {each.detail for each in read(event("dropped", reason="Bounced Address"))} == {"bounced_address"}
    assert [each.detail for each in read(event("dropped", reason=ADDRESS, status=f"<{ADDRESS}>"))] == [None]


def test_a_batch_of_a_thousand_events_is_read_whole() -> None:
    events = [event("delivered", tactful_message=f"msg_{number:032x}") for number in range(1000)]
    receipts = read(*events)
    assert [each.message_id for each in receipts] == [each["tactful_message"] for each in events]
    check_form(receipts, "sendgrid")


@pytest.mark.parametrize(
    "of_others", [{}, {"tactful_message": ""}, {"tactful_message": [1]}, {"tactful_message": "a b"}]
)
def test_events_of_others_are_left_out(of_others: dict[str, Any]) -> None:
    stranger = {name: value for name, value in event("bounce").items() if name != "tactful_message"} | of_others
    assert [each.kind for each in read(stranger, event("delivered"), stranger)] == ["delivered"]


def test_what_is_repeated_has_the_same_key_though_sendgrid_gives_it_another_id() -> None:
    click = event("click", url="https://shop.example/a")
    (first,), (again,) = read(click), read({**click, "sg_event_id": "another"}, age=3600)
    assert first.key == again.key
    changes: Sequence[dict[str, Any]] = [
        {"event": "open"},
        {"timestamp": SECONDS},
        {"url": "https://shop.example/b"},
        {"email": "eda@example.org"},
        {"tactful_message": "msg_2"},
    ]
    others = {read({**click, **each})[0].key for each in changes}
    assert len(others | {first.key}) == len(changes) + 1


@pytest.mark.parametrize(("written", "at"), [(SECONDS - 0.5, NOW - SECOND // 2), ("x", NOW), (None, NOW), (-1, NOW)])
def test_a_time_that_cannot_be_read_is_that_of_arrival(written: Any, at: int) -> None:
    (receipt,) = read(event("bounce", timestamp=written))
    assert receipt.at == at


def test_without_a_key_everything_is_refused() -> None:
    whole = signed(body_of([event("bounce")]))
    refused(lambda: read_receipts(SendgridSettings(), whole), "TACTFUL_SENDGRID__VERIFICATION_KEY")


@pytest.mark.parametrize("key", ["x", "MFkwEwYH", public(PRIVATE)[:-4], base64.b64encode(bytes(91)).decode()])
def test_a_setting_that_is_no_key_stops_the_start(key: str) -> None:
    with pytest.raises(ValidationError, match="verification key"):
        SendgridSettings(verification_key=key)


def test_a_key_that_is_no_point_of_the_curve_is_refused() -> None:
    no_point = base64.b64encode(base64.b64decode(public(PRIVATE))[:-1] + b"\0").decode()
    whole = signed(body_of([event("bounce")]))
    refused(lambda: read_receipts(SendgridSettings(verification_key=no_point), whole), "VERIFICATION_KEY")


def test_what_is_forged_is_refused() -> None:
    whole = signed(body_of([event("bounce")]))
    refused(lambda: read(event("bounce"), key=ANOTHER), SIGNATURE_HEADER)
    refused(lambda: read_receipts(SETTINGS, request(whole.body + b" ", whole.headers)), SIGNATURE_HEADER)
    later = {**whole.headers, TIMESTAMP_HEADER: str(SECONDS + 1)}
    refused(lambda: read_receipts(SETTINGS, request(whole.body, later)), SIGNATURE_HEADER)
    for missing in (SIGNATURE_HEADER, TIMESTAMP_HEADER):
        headers = {name: value for name, value in whole.headers.items() if name != missing}
        refused(partial(read_receipts, SETTINGS, request(whole.body, headers)), SIGNATURE_HEADER)
    for garbage in ("", "AAAA", "ü", "MEUCIQ==", whole.headers[SIGNATURE_HEADER][:-4]):
        headers = {**whole.headers, SIGNATURE_HEADER: garbage}
        refused(partial(read_receipts, SETTINGS, request(whole.body, headers)), SIGNATURE_HEADER)


@pytest.mark.parametrize(("age", "is_taken"), [(25 * 3600, True), (25 * 3600 + 1, False), (-300, True), (-301, False)])
def test_a_request_is_taken_for_as_long_as_sendgrid_repeats_it(age: int, is_taken: bool) -> None:
    if is_taken:
        assert len(read(event("bounce"), age=age)) == 1
    else:
        refused(lambda: read(event("bounce"), age=age), TIMESTAMP_HEADER)


@pytest.mark.parametrize("body", [b"", b"{}", b"[", b"[[]]", b"7", b"[" + b" " * MAX_BODY])
def test_what_is_no_array_of_events_is_malformed_once_it_is_known_who_sends_it(body: bytes) -> None:
    with pytest.raises(Malformed):
        read_receipts(SETTINGS, signed(body))


def test_nothing_else_is_raised_whatever_arrives() -> None:
    bounce = event("bounce", type="bounce", status="5.1.1", reason="x", url="x", sg_machine_open=True)
    stands_all_headers(lambda whole: read_receipts(SETTINGS, whole), [SIGNATURE_HEADER, TIMESTAMP_HEADER])
    events = with_any_fields(bounce).map(lambda each: [each, each])
    stands_everything(lambda body: read_receipts(SETTINGS, signed(body)), events | any_json())


def test_receipts_confirm_only_where_they_are_set_up() -> None:
    assert load_settings(OrchestratorSettings, sendgrid=SETTINGS).gives_receipts("sendgrid")
    settings = load_settings(OrchestratorSettings)
    assert not settings.gives_receipts("sendgrid") and not settings.gives_receipts("null")
    assert settings.gives_receipts("app_inbox") and settings.gives_receipts("of_a_version_to_come")
