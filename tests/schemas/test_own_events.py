"""The check of our own event types: what may refuse messages, what is told, and how much work a hostile event makes."""

import json
import time
from typing import Any

import pytest

from schemas.contact_channels import find_contact_channel
from schemas.event import decode_event
from schemas.own_events import CheckedData, check_event, is_unknown_own, may_be_refusal, read_stored_data


def check(kind: str, data: dict[str, Any]) -> CheckedData:
    envelope = {"specversion": "1.0", "id": "e-1", "source": "/shop", "type": kind, "subject": "c-1"}
    return check_event(decode_event(json.dumps({**envelope, "time": "2026-03-01T09:00:00Z", "data": data}).encode()))


def test_stored_data_are_read_whatever_the_check_of_today_says() -> None:
    envelope = {"specversion": "1.0", "id": "e-1", "source": "/shop", "subject": "c-1", "time": "2026-03-01T09:00:00Z"}

    def read(kind: str, data: Any) -> Any:
        return read_stored_data(decode_event(json.dumps({**envelope, "type": kind, "data": data}).encode()))

    assert read("shop.offer", {"a": "x\x00", "b": 1}) == {"a": "x\x00", "b": 1}
    assert read("tactful.customer.identified", {"zone": "Berln", "traits": {"a": "x\x00", "b": 1}}) == {
        "traits": {"b": 1}
    }
    assert read("tactful.customer.erased", ["anything"]) == {}


def test_an_event_with_thousands_of_bad_parts_is_checked_at_once_and_tells_the_first_hundred() -> None:
    begun = time.perf_counter()
    checked = check("tactful.preference.changed", {"consent": [{"channel": "emial"}] * 8_000, "locale": "de"})
    assert time.perf_counter() - begun < 10  # a round for every hundred took a minute
    assert checked.may_refuse and checked.given == ("locale", "consent")
    assert len(checked.problems) == 101
    assert checked.problems[-1] == ("/data", "more_problems", "31900 more problems are not listed")


@pytest.mark.parametrize(
    ("kind", "refuses"),
    [
        ("tactful.customer.deleted", True),
        ("tactful.customer.forgotten", True),
        ("tactful.customer.unsubscribed", True),
        ("tactful.complaint.filed", True),
        ("tactful.preferences.changed", True),
        ("TACTFUL.CUSTOMER.ERASED", True),
        ("tactful.customer.identifed", False),
        ("tactful.contact.reportet", False),
    ],
)
def test_an_unknown_type_of_ours_may_be_a_refusal_by_its_name(kind: str, refuses: bool) -> None:
    assert is_unknown_own(kind) and may_be_refusal(kind) is refuses


@pytest.mark.parametrize(
    ("word", "channel"),
    [
        ("E-Mail", "email"),
        ("InApp", "in_app"),
        ("in-app", "in_app"),
        ("livechat", "chat"),
        ("Phone Call", "phone"),
        ("Video_Call", "video"),
        ("WhatsApp", "whatsapp"),
        ("pigeon", None),
        ("", None),
    ],
)
def test_a_channel_of_other_tools_is_known_by_what_people_call_it(word: str, channel: str | None) -> None:
    assert find_contact_channel(word) == channel
