"""The check of our own event types: what may refuse messages, what is told, and how much work a hostile event makes."""

import difflib
import itertools
import json
import time
from random import Random
from typing import Any

import pytest

from schemas.contact_channels import find_contact_channel
from schemas.event import decode_event
from schemas.field_names import NEAR
from schemas.own_events import (
    OWN_EVENT_TYPES,
    PREFERENCE_FIELDS,
    CheckedData,
    check_event,
    is_unknown_own,
    may_be_refusal,
    read_stored_data,
)


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
    begun = time.process_time()
    checked = check("tactful.preference.changed", {"consent": [{"channel": "emial"}] * 8_000, "locale": "de"})
    assert time.process_time() - begun < 10  # a round for every hundred took a minute
    assert checked.may_refuse and checked.given == ("locale", "consent")
    assert len(checked.problems) == 101
    assert checked.problems[-1] == ("/data", "more_problems", "31900 more problems are not listed")


def test_among_thousands_of_unknown_fields_a_misspelt_refusal_is_found() -> None:
    others = {f"field_of_the_shop_{number}": number for number in range(7_000)}
    for name in ("opt_outs_", "consnet", "pasued_until", "zonse"):
        checked = check("tactful.preference.changed", {**others, name: [], "locale": "de"})
        assert [pointer for pointer, _, _ in checked.problems] == [f"/data/{name}"]
        assert checked.may_refuse is (name != "zonse")
        assert len(checked.ignored) == 7_000


def test_more_names_like_those_of_fields_than_are_compared_may_hide_a_refusal() -> None:
    names = ["".join(letters) for letters in itertools.permutations("locaxle", 7)][:1_000]
    checked = check("tactful.preference.changed", {**dict.fromkeys(names, "x"), "locale": "de"})
    assert checked.may_refuse and checked.given == ("locale",)
    assert "too_many_fields" in {code for _, code, _ in checked.problems[-2:]} or len(checked.problems) == 101
    few = check("tactful.preference.changed", {**dict.fromkeys(names[-50:], "x"), "locale": "de"})
    assert not few.may_refuse


def test_no_name_is_left_out_that_difflib_would_find() -> None:
    random = Random(7)
    for kind, fields in OWN_EVENT_TYPES.items():
        known = PREFERENCE_FIELDS if kind.startswith("tactful.customer.i") else fields
        for field in known:
            for _ in range(200):
                letters = list(field)
                for _ in range(random.randrange(6)):
                    place = random.randrange(len(letters) + 1)
                    letters[place : place + random.randrange(2)] = random.choice(["", "x", field[0]])
                name = "".join(letters)
                if difflib.get_close_matches(name, known, 1, NEAR) and name not in fields:
                    assert check(kind, {name: "x"}).ignored == (), (kind, name)


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


def test_a_grant_of_consent_needs_its_proof_and_is_no_refusal() -> None:
    proof = {"source": "checkout", "wording": "newsletter-3"}
    granted = {"channel": "email", "topic": "news", "status": "granted", "at": "2026-01-02T10:00:00Z"}
    bad, good = granted | {"wording": "w"}, granted | proof
    misspelt = good | {"channel": "emial"}
    checked = check("tactful.preference.changed", {"consent": [bad, misspelt, good], "locale": "de"})
    assert [pointer for pointer, _, _ in checked.problems] == ["/data/consent/0/source", "/data/consent/1/channel"]
    assert checked.data["consent"] == [good] and checked.added == {"consent"}
    alone = check("tactful.preference.changed", {"consent": [granted]})
    assert (alone.refused, alone.may_refuse, alone.customer and alone.customer.consent) == (True, False, ())
    withdrawn = granted | {"status": "withdrawn"}
    assert check("tactful.preference.changed", {"consent": [withdrawn]}).problems == ()
