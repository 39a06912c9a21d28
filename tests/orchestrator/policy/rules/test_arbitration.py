from typing import Any

import pytest

from services.orchestrator.policy.counted_contacts import Incomplete
from services.orchestrator.policy.ledger import Contact, Ledger
from services.orchestrator.policy.rules.arbitration import rule
from services.orchestrator.policy.rules.frequency_cap import rule as frequency_cap
from tests.support.policy_builders import (
    ALLOW,
    at,
    campaign,
    contact,
    facts,
    judged,
    ledger,
    only,
    policy,
    preference,
    touch,
    try_on,
)

URGENT, MINOR = campaign("urgent", priority=80), campaign("minor", priority=40)
TOP = campaign("top", priority=90)
RECEIPT = campaign("receipt", cls="transactional", topic=None)
SINCE = "02 09:00"


def known(limit: int = 1, on_exceed: str = "drop") -> Any:
    cap = {"id": "cap", "limit": limit, "window": {"rolling": "24h"}, "on_exceed": on_exceed}
    return facts(policy(frequency_caps=[cap]))


def lost_to_message(winner: Contact) -> dict[str, str]:
    return {"lost_to": winner.message_id, "winner": winner.attributes.campaign}


@pytest.mark.parametrize(
    ("past", "since", "lost_to"),
    [
        ([contact("02 10:00", of=URGENT, event_id="e-1")], None, 0),  # of the same event
        ([contact("02 10:00", of=MINOR, event_id="e-1")], None, None),  # it does not outrank the candidate
        ([contact("02 09:30", of=URGENT)], SINCE, 0),  # made since the candidate was first planned
        ([contact("02 12:00", of=URGENT, state="planned", since="02 09:30")], SINCE, 0),  # or first planned since
        ([contact("02 12:00", of=URGENT, state="planned", since="02 08:00")], SINCE, None),
        ([contact("02 12:00", of=URGENT, state="planned", since=SINCE)], SINCE, None),  # at the same instant
        ([contact("02 09:30", of=URGENT, since="02 08:00")], SINCE, 0),  # made since, though planned before
        ([contact("02 09:30", of=URGENT)], None, None),  # never planned, and another event
        ([contact("02 09:30", of=URGENT, reported=True)], SINCE, None),  # without a rank
        ([contact("02 08:00"), contact("02 09:30", of=URGENT)], SINCE, None),  # the cap was full without it
        ([contact("02 09:20", of=URGENT), contact("02 09:30", of=TOP)], SINCE, 0),  # the lowest-ranked of them
        ([contact("02 09:00", of=URGENT, since="02 08:00")], SINCE, None),  # made at the very instant
        ([contact("02 09:30", of=TOP), contact("04 09:30", of=URGENT, state="planned")], SINCE, 0),  # too far to matter
        ([contact("02 09:30", of=TOP), contact("01 10:00", of=URGENT)], "01 00:00", 0),  # exactly a day before
        ([contact("02 09:30", of=TOP), contact("01 05:00", of=URGENT)], "01 00:00", 0),  # more than that
        ([contact("02 09:30", of=TOP), contact("02 09:00", of=RECEIPT)], SINCE, 0),  # not counted at all
    ],
)
def test_the_cap_would_allow_without_those_that_outrank(
    past: list[Contact], since: str | None, lost_to: int | None
) -> None:
    tried = try_on(touch(since=since), known(), ledger(*past))
    found = judged(rule, tried, known())
    cap = judged(frequency_cap, tried, known())
    if lost_to is None:
        assert only(found) == ALLOW
        assert only(cap)[:2] == ("deny", "frequency_cap")
    else:
        assert only(found)[:3] == ("deny", "lower_priority", "cap")
        assert found[0].evidence == lost_to_message(past[lost_to])
        assert only(cap)[:2] == ("allow", None)


def test_a_cap_that_defers_arbitrates_nothing() -> None:
    past = ledger(contact("02 10:00", of=URGENT, event_id="e-1"))
    assert only(judged(rule, try_on(touch(), known(on_exceed="defer"), past), known(on_exceed="defer"))) == ALLOW


def test_it_tells_when_there_would_be_room() -> None:
    past = ledger(contact("02 10:00", of=URGENT, event_id="e-1"))
    assert only(judged(rule, try_on(touch(), known(), past), known()))[3] == at("03 10:00")


@pytest.mark.parametrize("since", [None, SINCE])
def test_a_ledger_that_has_forgotten_too_much_fails_closed(since: str | None) -> None:
    enough, short = Ledger(complete_from=at("01 10:00")), Ledger(complete_from=at("01 10:00") + 1)
    assert only(judged(rule, try_on(touch(since=since), known(), enough), known())) == ALLOW
    with pytest.raises(Incomplete):
        judged(rule, try_on(touch(since=since), known(), short), known())


def test_the_longest_of_its_caps_says_how_much_must_be_known() -> None:
    caps = [
        {"id": id, "limit": 9, "window": {"rolling": window}, "on_exceed": "drop"}
        for id, window in (("short", "24h"), ("long", "48h"))
    ]
    rules = facts(policy(frequency_caps=caps))
    with pytest.raises(Incomplete):
        judged(rule, try_on(touch(), rules, Ledger(complete_from=at("01 00:00"))), rules)


LAUNCH = campaign("launch", strategy="all", channels=["email", "push"])


def named(*channels: str) -> Any:
    cap = {"id": "cap", "limit": 1, "window": {"rolling": "24h"}, "on_exceed": "drop"}
    return facts(policy(frequency_caps=[{**cap, "scope": {"channels": list(channels)}}]))


def test_a_cap_that_names_channels_is_lost_to_a_sibling() -> None:
    sibling = contact("02 10:00", of=LAUNCH, event_id="e-1", channel="push")
    rules = named("email", "push")
    assert judged(rule, try_on(touch(LAUNCH), rules, ledger(sibling)), rules)[0].evidence == lost_to_message(sibling)


def test_a_cap_that_names_none_is_never_lost_to_a_sibling() -> None:
    winner = contact("02 10:00", of=URGENT, event_id="e-1")
    sibling = contact("02 11:00", of=LAUNCH, event_id="e-1", channel="push", state="planned", since="01 10:00")
    tried = try_on(touch(LAUNCH), known(), ledger(winner, sibling))
    assert judged(rule, tried, known())[0].evidence == lost_to_message(winner)


def test_a_planned_one_that_gives_way_does_not_fill_the_cap() -> None:
    winner = contact("02 10:00", of=URGENT, event_id="e-1")
    lower = contact("02 11:00", of=MINOR, event_id="e-1", state="planned")
    for rules in (known(), named("email")):
        tried = try_on(touch(), rules, ledger(winner, lower))
        assert judged(rule, tried, rules)[0].evidence == lost_to_message(winner)


@pytest.mark.parametrize(
    ("zone", "winner", "other"),
    [
        ("customer", "01 18:15", "02 18:15"),  # midnight in Kathmandu, and the next one
        ("customer", "02 18:14:59", "01 18:14:59"),
        ("org", "02 00:00", "03 00:00"),
    ],
)
def test_in_a_calendar_cap_only_those_of_the_same_period_bear(zone: str, winner: str, other: str) -> None:
    cap = {"id": "cap", "limit": 1, "window": {"calendar": "day", "zone": zone}, "on_exceed": "drop"}
    rules = facts(policy(frequency_caps=[cap]), preference(zone="Asia/Kathmandu"))
    top = contact(winner, of=TOP)
    far = contact(other, of=URGENT, state="planned" if other > winner else "made", since="01 11:00")
    tried = try_on(touch(since="01 10:00"), rules, ledger(top, far))
    assert judged(rule, tried, rules, "02 10:00")[0].evidence == lost_to_message(top)


def test_a_cap_that_has_room_is_lost_to_nobody() -> None:
    tried = try_on(touch(), known(limit=2), ledger(contact("02 10:00", of=URGENT, event_id="e-1")))
    assert only(judged(rule, tried, known(limit=2))) == ALLOW


def test_a_cap_that_defers_does_not_hide_one_that_drops() -> None:
    caps = [{"id": each, "limit": 1, "window": {"rolling": "24h"}, "on_exceed": each} for each in ("defer", "drop")]
    rules = facts(policy(frequency_caps=caps))
    past = ledger(contact("02 10:00", of=URGENT, event_id="e-1"))
    assert only(judged(rule, try_on(touch(), rules, past), rules))[:3] == ("deny", "lower_priority", "drop")


def test_at_the_gate_the_time_of_the_mark_is_arbitrated() -> None:
    tried = try_on(touch(), known(), ledger(contact("02 10:00", of=URGENT, event_id="e-1")), marked="03 09:59")
    assert only(judged(rule, tried, known(), "03 10:01"))[:2] == ("deny", "lower_priority")
