from typing import Any

import pytest

from schemas.facts import CustomerQuietHours
from services.orchestrator.policy.rules.quiet_hours import rule
from tests.support.policy_builders import ALLOW, at, campaign, facts, judged, only, policy, preference, touch, try_on

NIGHT = {"id": "night", "from": "21:00", "to": "08:00"}
LATE = {"id": "late", "from": "21:00", "to": "02:30"}
RECEIPT = campaign("receipt", cls="transactional", topic=None)


def judge(entry: dict[str, Any], now: str, zone: str | None = "Etc/UTC", **fields: Any) -> tuple[Any, ...]:
    known = facts(
        policy(quiet_hours=[entry], unknown_zones=["Asia/Kathmandu", "America/New_York"]),
        preference(zone=zone, **fields),
    )
    return only(judged(rule, try_on(touch(), known), known, now))


@pytest.mark.parametrize(
    ("entry", "zone", "now", "free"),
    [
        (NIGHT, "Etc/UTC", "02 20:59:59", None),
        (NIGHT, "Etc/UTC", "02 21:00", "03 08:00"),  # from is inclusive
        (NIGHT, "Etc/UTC", "03 07:59:59", "03 08:00"),
        (NIGHT, "Etc/UTC", "03 08:00", None),  # to is exclusive
        ({"id": "noon", "from": "12:00", "to": "13:00"}, "Etc/UTC", "02 12:30", "02 13:00"),
        # a window belongs to the day it starts on: Friday's ends on Saturday morning
        ({**NIGHT, "days": ["fri"]}, "Etc/UTC", "07 07:00", "07 08:00"),
        ({**NIGHT, "days": ["fri"]}, "Etc/UTC", "07 22:00", None),
        ({**NIGHT, "days": ["fri"]}, "Etc/UTC", "06 07:00", None),
        # clock changes
        (NIGHT, "Europe/Berlin", "2026-03-28T21:00:00Z", "2026-03-29T06:00:00Z"),  # worked example 4
        (NIGHT, "America/New_York", "2026-11-01T02:00:00Z", "2026-11-01T13:00:00Z"),
        (LATE, "Europe/Berlin", "2026-03-28T23:00:00Z", "2026-03-29T01:00:00Z"),  # 02:30 is skipped: after the gap
        (LATE, "Europe/Berlin", "2026-10-25T00:10:00Z", "2026-10-25T00:30:00Z"),  # the first pass of 02:10
        (LATE, "Europe/Berlin", "2026-10-25T01:10:00Z", "2026-10-25T01:30:00Z"),  # and the second
        (LATE, "Europe/Berlin", "2026-10-25T00:40:00Z", None),
        (LATE, "Australia/Lord_Howe", "2026-04-04T14:50:00Z", "2026-04-04T16:00:00Z"),  # half an hour back at 02:00
        (
            {"id": "early", "from": "02:30", "to": "04:00"},
            "Europe/Berlin",
            "2026-10-25T00:40:00Z",
            "2026-10-25T01:00:00Z",
        ),
    ],
)
def test_windows_in_local_time(entry: dict[str, Any], zone: str, now: str, free: str | None) -> None:
    expected = ("allow", None, entry["id"], None) if free is None else ("defer", "quiet_hours", entry["id"], at(free))
    assert judge(entry, now, zone) == expected


@pytest.mark.parametrize(
    ("country", "now", "free"),
    [
        ("PT", "2026-01-15T20:59:59Z", None),
        ("PT", "2026-01-15T21:00:00Z", "2026-01-16T09:00:00Z"),  # until the Azores are awake
        ("PT", "2026-01-16T08:00:00Z", "2026-01-16T09:00:00Z"),
        (None, "2026-01-15T12:59:59Z", "2026-01-15T13:00:00Z"),  # unknown zones: 08:00 in New York
        (None, "2026-01-15T15:15:00Z", "2026-01-16T13:00:00Z"),  # 21:00 in Kathmandu
        ("ZZ", "2026-01-15T13:00:00Z", None),  # not a country that the tz database knows
    ],
)
def test_without_a_zone_every_possible_one_must_be_outside(country: str | None, now: str, free: str | None) -> None:
    found = judge(NIGHT, now, zone=None, country=country)
    assert found == (("allow", None, "night", None) if free is None else ("defer", "quiet_hours", "night", at(free)))


def test_zones_that_never_agree_defer_far_beyond_any_expiry() -> None:
    known = facts(
        policy(quiet_hours=[{"id": "most", "from": "12:00", "to": "11:00"}], unknown_zones=["Etc/UTC", "Asia/Tokyo"]),
        preference(zone=None),
    )
    verdict = judged(rule, try_on(touch(), known), known, "02 02:00")[0]
    assert verdict.until == at("2026-04-03T02:00:00Z")  # a day for each hop, 32 of them


def test_the_customers_own_hours_come_last_and_leave_transactional_alone() -> None:
    own = CustomerQuietHours(("mon",), 9 * 60, 11 * 60)
    known = facts(policy(quiet_hours=[NIGHT]), preference(quiet_hours=(own,)))
    verdicts = judged(rule, try_on(touch(), known), known)
    assert [(each.verdict, each.id, each.until) for each in verdicts] == [
        ("allow", "night", None),
        ("defer", "customer-quiet-hours", at("02 11:00")),
    ]
    assert only(judged(rule, try_on(touch(RECEIPT), known), known)) == ALLOW


def test_a_refusal_names_the_zones_that_were_asked() -> None:
    known = facts(policy(quiet_hours=[NIGHT], unknown_zones=["Etc/UTC", "Asia/Tokyo"]), preference(zone=None))
    found = judged(rule, try_on(touch(), known), known, "02 22:00")[0]
    assert found.evidence == {"zones": ["Etc/UTC", "Asia/Tokyo"]}


def test_a_zone_that_was_outside_is_asked_again_after_another_has_moved_the_instant() -> None:
    zones = ["Asia/Tokyo", "America/New_York", "America/Halifax"]
    known = facts(policy(quiet_hours=[NIGHT], unknown_zones=zones), preference(zone=None))
    found = judged(rule, try_on(touch(), known), known, "2026-01-15T10:00:00Z")[0]
    assert found.until == at("2026-01-15T23:00:00Z")
