from typing import Any

import pytest

from services.orchestrator.policy.counted_contacts import Incomplete
from services.orchestrator.policy.ledger import Contact, Ledger
from services.orchestrator.policy.rules.frequency_cap import rule
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

DAY = {"rolling": "24h"}
RECEIPT = campaign("receipt", cls="transactional", topic=None)
NOTICE = campaign("notice", cls="service", topic=None)
LAUNCH = campaign("launch", strategy="all", channels=["email", "push", "in_app"])
URGENT, MINOR = campaign("urgent", priority=80), campaign("minor", priority=40)


def cap(limit: int = 1, window: Any = DAY, on_exceed: str = "defer", **scope: Any) -> dict[str, Any]:
    return {"id": "cap", "scope": scope, "limit": limit, "window": window, "on_exceed": on_exceed}


def judge(entry: dict[str, Any], past: list[Contact], now: str, of: Any = None, **fields: Any) -> tuple[Any, ...]:
    known = facts(policy(frequency_caps=[entry]), preference(**fields))
    return only(judged(rule, try_on(touch(of), known, ledger(*past)), known, now))


@pytest.mark.parametrize(
    ("limit", "times", "now", "free"),
    [
        (2, ["02 10:00", "02 15:00"], "02 16:00", "03 10:00"),  # worked example 1
        (2, ["02 10:00", "03 09:00"], "02 11:00", "03 10:00"),  # worked example 2
        (2, ["02 10:00", "02 15:00"], "03 10:00", None),
        (1, ["02 10:00"], "03 09:59:59", "03 10:00"),
        (1, ["04 10:00"], "03 10:00", None),  # exactly 24 h before a planned one
        (1, ["04 10:00"], "03 10:00:01", "05 10:00"),
        (1, ["02 10:00", "03 09:00"], "02 12:00", "04 09:00"),  # the next one joins on
        (3, ["02 10:00", "02 15:00"], "02 16:00", None),
    ],
)
def test_rolling_windows_are_half_open_and_look_both_ways(
    limit: int, times: list[str], now: str, free: str | None
) -> None:
    expected = ("allow", None, "cap", None) if free is None else ("defer", "cap_window", "cap", at(free))
    assert judge(cap(limit), [contact(time) for time in times], now) == expected


@pytest.mark.parametrize(
    ("window", "zone", "time", "now", "free"),
    [
        ("day", "Asia/Kathmandu", "02 17:45", "02 17:55", "02 18:15"),  # worked example 3: 23:30 local, until midnight
        ("day", "Asia/Kathmandu", "02 17:45", "02 18:15", None),
        ("day", None, "02 10:00", "02 12:00", "02 23:00"),  # without a zone: the organisation's, Berlin
        ("day", "Nowhere/Land", "02 10:00", "02 12:00", "02 23:00"),
        ("week", "Etc/UTC", "02 00:00", "08 23:59:59", "09 00:00"),  # from Monday
        ("week", "Etc/UTC", "01 23:59:59", "02 00:00", None),
        ("month", "Etc/UTC", "01 00:00", "31 23:59:59", "2026-04-01T00:00:00Z"),
        ("month", "Etc/UTC", "2026-02-28T23:59:59Z", "01 00:00", None),
        (
            "day",
            "America/Sao_Paulo",
            "2018-11-03T15:00:00Z",
            "2018-11-03T16:00:00Z",
            "2018-11-04T03:00:00Z",
        ),  # no midnight
    ],
)
def test_calendar_periods_follow_the_zone(window: str, zone: str | None, time: str, now: str, free: str | None) -> None:
    entry = cap(window={"calendar": window, "zone": "customer"})
    known = facts(policy(zone="Europe/Berlin", frequency_caps=[entry]), preference(zone=zone))
    found = only(judged(rule, try_on(touch(), known, ledger(contact(time))), known, now))
    assert found == (("allow", None, "cap", None) if free is None else ("defer", "cap_window", "cap", at(free)))


def test_the_organisations_calendar_and_the_next_period_with_room() -> None:
    entry = cap(window={"calendar": "day", "zone": "org"})
    past = [contact("02 10:00"), contact("03 10:00"), contact("05 10:00")]
    assert judge(entry, past, "02 12:00", zone="Asia/Kathmandu")[3] == at("04 00:00")


@pytest.mark.parametrize(
    ("scope", "past", "of", "verdict"),
    [
        ({}, contact("02 09:00"), None, "defer"),
        ({}, contact("02 09:00", of=NOTICE), None, "defer"),  # absent classes are service and marketing
        ({}, contact("02 09:00", of=RECEIPT), None, "allow"),
        ({}, contact("02 09:00"), RECEIPT, "allow"),  # no candidate of that class either
        ({"classes": ["transactional", "marketing"]}, contact("02 09:00", of=RECEIPT), None, "defer"),
        ({"classes": ["marketing"]}, contact("02 09:00", of=NOTICE), None, "allow"),
        ({"channels": ["push"]}, contact("02 09:00"), None, "allow"),
        ({"topics": ["news"]}, contact("02 09:00"), None, "defer"),
        ({"campaigns": ["other"]}, contact("02 09:00"), None, "allow"),  # the candidate is another one
        ({"intents": ["advertise"]}, contact("02 09:00"), None, "defer"),
        ({}, contact("02 09:00", of=LAUNCH, channel="in_app"), None, "allow"),  # a cap that does not name in_app
        ({"channels": ["email", "in_app"]}, contact("02 09:00", of=LAUNCH, channel="in_app"), None, "defer"),
    ],
)
def test_scopes_say_whom_it_concerns_and_what_it_counts(scope: Any, past: Contact, of: Any, verdict: str) -> None:
    assert judge(cap(**scope), [past], "02 10:00", of)[0] == verdict


@pytest.mark.parametrize(
    ("past", "verdict"),
    [
        (contact("02 14:00", of=URGENT, state="planned"), "defer"),
        (contact("02 14:00", of=MINOR, state="planned"), "allow"),  # it gives way
        (contact("02 09:00", of=MINOR, state="made"), "defer"),
        (contact("02 09:00", of=MINOR, state="unknown"), "defer"),
        (contact("02 09:00", of=MINOR), "defer"),
        (contact("02 14:00", state="planned", since="01 10:00"), "defer"),  # equal priority, but a senior
        (contact("02 14:00", of=MINOR, reported=True), "defer"),  # another tool's always counts
        (contact("02 14:00", event_id="e-1", of=campaign(), state="planned"), "allow"),  # its own
    ],
)
def test_a_planned_contact_counts_only_if_it_outranks_the_candidate(past: Contact, verdict: str) -> None:
    assert judge(cap(), [past], "02 10:00")[0] == verdict


@pytest.mark.parametrize(
    ("channels", "sibling", "extra", "verdict"),
    [
        (None, "made", [], "allow"),  # siblings are left out
        (None, "made", [contact("02 09:00")], "allow"),  # and once one was made, the cap allows
        (None, "planned", [contact("02 09:00")], "defer"),
        (["email", "push"], "made", [], "defer"),  # a cap that names channels counts them
    ],
)
def test_one_touch(channels: list[str] | None, sibling: Any, extra: list[Contact], verdict: str) -> None:
    scope: dict[str, Any] = {} if channels is None else {"channels": channels}
    push = contact("02 09:30", of=LAUNCH, event_id="e-1", channel="push", state=sibling, since="01 10:00")
    assert judge(cap(**scope), [push, *extra], "02 10:00", LAUNCH)[0] == verdict


def test_a_cap_that_drops_denies_and_tells_when_there_is_room() -> None:
    found = judge(cap(on_exceed="drop"), [contact("02 09:00")], "02 10:00")
    assert found == ("deny", "frequency_cap", "cap", at("03 09:00"))


def test_the_customers_own_wish_comes_last_and_concerns_marketing_alone() -> None:
    known = facts(policy(frequency_caps=[cap(2)]), preference(wish=(1, "week")))
    past = ledger(contact("02 09:00"))
    first, own = judged(rule, try_on(touch(), known, past), known, "03 10:00")
    assert (first.verdict, own.verdict, own.id, own.until) == ("allow", "defer", "customer-wish", at("09 00:00"))
    assert len(judged(rule, try_on(touch(NOTICE), known, past), known, "03 10:00")) == 1


def test_at_the_gate_the_mark_is_judged_and_nothing_planned_counts() -> None:
    known = facts(policy(frequency_caps=[cap()]))
    past = ledger(contact("02 08:00"), contact("02 12:00", of=URGENT, state="planned"))
    tried = try_on(touch(), known, past, marked="03 07:59")
    assert only(judged(rule, tried, known, "03 08:01"))[0] == "defer"
    assert only(judged(rule, try_on(touch(), known, past, marked="03 08:00"), known, "03 08:01"))[0] == "allow"


def test_without_caps_it_allows_and_a_ledger_that_has_forgotten_too_much_fails_closed() -> None:
    assert only(judged(rule, try_on(touch()))) == ALLOW
    known = facts(policy(frequency_caps=[cap()]))
    with pytest.raises(Incomplete):
        judged(rule, try_on(touch(), known, Ledger(complete_from=at("02 00:00"))), known)


@pytest.mark.parametrize("on_exceed", ["defer", "drop"])
def test_it_says_how_many_of_how_many_it_counted(on_exceed: str) -> None:
    known = facts(policy(frequency_caps=[cap(2, on_exceed=on_exceed)]))
    one, two = contact("02 08:00"), contact("02 09:00")
    assert judged(rule, try_on(touch(), known, ledger(one)), known)[0].evidence == {
        "limit": 2,
        "counted": 1,
        "per": "1d",
    }
    assert judged(rule, try_on(touch(), known, ledger(one, two)), known)[0].evidence == {
        "limit": 2,
        "counted": 2,
        "per": "1d",
    }


def test_a_cap_that_leaves_the_refusal_to_arbitration_says_to_whom_it_was_lost() -> None:
    known = facts(policy(frequency_caps=[cap(on_exceed="drop")]))
    winner = contact("02 10:00", of=URGENT, event_id="e-1")
    found = judged(rule, try_on(touch(), known, ledger(winner)), known)[0]
    assert (found.id, found.evidence) == (
        "cap",
        {"limit": 1, "counted": 1, "per": "1d", "lost_to": winner.message_id},
    )


def test_a_wish_leaves_in_app_and_whom_it_does_not_concern_alone() -> None:
    known = facts(chosen=preference(wish=(1, "day")))
    past = ledger(contact("02 09:00"))
    assert only(judged(rule, try_on(touch(LAUNCH), known, past, channel="in_app"), known)) == ALLOW
    found = only(judged(rule, try_on(touch(LAUNCH), known, past), known))
    assert found == ("defer", "cap_window", "customer-wish", at("03 00:00"))


def test_a_cap_that_allows_between_known_contacts_must_know_all_before_them() -> None:
    known = facts(policy(frequency_caps=[cap()]))
    later = contact("03 10:00")  # exactly a day ahead
    assert (
        only(judged(rule, try_on(touch(), known, Ledger(complete_from=at("01 10:00")).put_contact(later)), known))[0]
        == "allow"
    )
    with pytest.raises(Incomplete):
        judged(rule, try_on(touch(), known, Ledger(complete_from=at("01 10:00") + 1).put_contact(later)), known)
