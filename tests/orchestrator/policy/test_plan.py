from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.facts import HoldFact, Situation
from schemas.times import DAY, HOUR, format_instant
from services.orchestrator.policy.evaluate import evaluate_rules
from services.orchestrator.policy.ledger import Ledger
from services.orchestrator.policy.plan import plan_candidate
from tests.support.policy_builders import at, campaign, contact, event, facts, ledger, policy, preference, touch, try_on

NIGHT = {"id": "night", "from": "21:00", "to": "08:00"}
CAP = {"id": "cap", "limit": 1, "window": {"rolling": "24h"}, "on_exceed": "defer"}
COMPLAINT = {"kind": "complaint", "opens": [{"event": "shop.complaint"}], "lapses": "10d"}
WAIT = {
    "id": "wait",
    "never": {"after": {"situation": "complaint"}, "within": "1d", "while_open": True},
    "on_match": "defer",
}


@pytest.mark.parametrize(
    ("last", "until", "reason", "rule_id", "jumps"),
    [
        ("01 18:00", None, "eligible", None, []),  # worked example 5, nothing in the way
        ("01 20:00", "02 20:00", "cap_window", "cap", []),  # the cap frees 20:00, which is not quiet
        ("01 21:30", "03 08:00", "quiet_hours", "night", [("02 21:30", "quiet_hours", "night", "03 08:00")]),
    ],
)
def test_it_jumps_to_the_earliest_instant_and_the_last_jump_gives_the_reason(
    last: str, until: str | None, reason: str, rule_id: str | None, jumps: list[Any]
) -> None:
    known = facts(policy(frequency_caps=[CAP], quiet_hours=[NIGHT]))
    found = plan_candidate(try_on(touch(when=event("02 19:00")), known, ledger(contact(last))), known, at("02 19:00"))
    assert (found.outcome, found.reason, found.rule_id) == ("send" if until is None else "defer", reason, rule_id)
    assert found.until == (None if until is None else at(until))
    assert [(each.at, each.rule, each.id, each.until) for each in found.jumps] == [
        (at(when), rule, id, at(then)) for when, rule, id, then in jumps
    ]


def test_a_deny_on_the_way_suppresses_at_once() -> None:
    known = facts(policy(quiet_hours=[NIGHT]))
    found = plan_candidate(try_on(touch(campaign(ttl="10h"), event("02 22:00")), known), known, at("02 22:00"))
    assert (found.outcome, found.reason, found.until) == ("suppress", "expired", None)
    assert [(each.at, each.rule, each.until) for each in found.jumps] == [(at("03 08:00"), "expiry", None)]


def test_allowed_from_is_when_all_that_denied_would_allow() -> None:
    asks = {"id": "ask", "never": {"after": {"situation": "complaint"}, "within": "30d"}, "on_match": "drop"}
    rules = policy(situations=[COMPLAINT], contact_history=[asks])
    closed = Situation("complaint", "", at("01 00:00"), at("01 12:00"))
    known = facts(rules, preference(paused_until=at("05 00:00")), situations=(closed,))
    found = plan_candidate(try_on(touch(), known), known, at("02 10:00"))
    assert (found.reason, found.allowed_from) == ("paused", at("31 12:00"))
    untold = facts(rules, preference(consent=(), paused_until=at("05 00:00")), situations=(closed,))
    assert plan_candidate(try_on(touch(), untold), untold, at("02 10:00")).allowed_from is None


def test_a_defer_without_an_instant_parks() -> None:
    holds = (HoldFact("b", "defer", 0), HoldFact("a", "defer", 0), HoldFact("c", "defer", 0, at("05 00:00")))
    opened = (Situation("complaint", '"x"', at("01 00:00")), Situation("complaint", '"y"', at("02 00:00")))
    known = facts(
        policy(situations=[COMPLAINT], contact_history=[WAIT], quiet_hours=[NIGHT]), holds=holds, situations=opened
    )
    found = plan_candidate(try_on(touch(campaign(ttl="30d")), known), known, at("02 22:00"))
    assert (found.outcome, found.reason, found.rule_id, found.until) == ("defer", "contact_history", "wait", None)
    assert found.jumps == ()
    assert [each.id for each in found.verdicts if each.verdict == "defer"] == ["wait", "a", "b", "c", "night"]
    assert found.parked is not None
    assert found.parked.holds == ("a", "b")
    assert found.parked.situations == (("complaint", '"x"'), ("complaint", '"y"'))
    assert found.parked.wake_at == at("11 00:00")  # the first lapse
    brief = plan_candidate(try_on(touch(campaign(ttl="1d")), known), known, at("02 22:00")).parked
    assert brief is not None
    assert brief.wake_at == at("03 10:00")  # or its expiry


@pytest.mark.parametrize(("now", "outcome"), [("02 23:30", "defer"), ("02 22:30", "fail")])
def test_more_than_64_jumps_is_a_failure(now: str, outcome: str) -> None:
    """Half an hour a night is not quiet, and a contact in it takes it: two jumps for each night, and one to the first
    of them for who is not near a contact yet.
    """
    rules = policy(
        quiet_hours=[{"id": "day", "from": "00:30", "to": "00:00"}],
        min_gaps=[{"id": "gap", "gap": "1h"}],
    )
    times = [at("03 00:10") + DAY * night for night in range(32)]
    past = ledger(*(contact(format_instant(time)) for time in times))
    known = facts(rules)
    found = plan_candidate(try_on(touch(campaign(ttl="365d")), known, past), known, at(now))
    assert found.outcome == outcome
    assert found.reason == ("policy_unavailable" if outcome == "fail" else "quiet_hours")
    assert len(found.jumps) == (64 if outcome == "fail" else 63)
    assert [verdict.rule for verdict in found.verdicts if verdict.verdict == "defer"][-1] == "quiet_hours"


@settings(deadline=None, max_examples=60)
@given(
    past=st.lists(st.integers(0, 80), max_size=5, unique=True),
    limit=st.integers(1, 2),
    length=st.integers(1, 30),
    gap=st.integers(1, 6),
    start=st.integers(0, 23),
    span=st.integers(1, 14),
    now=st.integers(0, 80),
)
def test_t_star_is_the_earliest_instant_at_which_nothing_defers(
    past: list[int], limit: int, length: int, gap: int, start: int, span: int, now: int
) -> None:
    """By brute force over the hours: verdicts change on whole hours only."""
    rules = policy(
        frequency_caps=[{**CAP, "limit": limit, "window": {"rolling": f"{length}h"}}],
        min_gaps=[{"id": "gap", "gap": f"{gap}h"}],
        quiet_hours=[{"id": "quiet", "from": f"{start:02d}:00", "to": f"{(start + span) % 24:02d}:00"}],
    )
    known, zero = facts(rules), at("02 00:00")
    contacts = [contact(format_instant(zero + hour * HOUR), event_id=f"x{hour}") for hour in past]
    tried = try_on(touch(campaign(ttl="90d"), event("02 00:00")), known, ledger(*contacts))
    found = plan_candidate(tried, known, zero + now * HOUR)
    free = next(
        t for t in range(zero + now * HOUR, zero + 400 * HOUR, HOUR) if not evaluate_rules(tried, known, t).defers
    )
    assert (found.until or zero + now * HOUR) == free


def test_it_jumps_to_the_latest_of_several_at_once() -> None:
    known = facts(policy(quiet_hours=[NIGHT]), holds=(HoldFact("soon", "defer", 0, at("02 23:00")),))
    found = plan_candidate(try_on(touch(when=event("02 22:00")), known), known, at("02 22:00"))
    assert (found.until, found.rule_id, found.jumps) == (at("03 08:00"), "night", ())


def test_a_jump_names_the_entry_that_stops_it() -> None:
    known = facts(policy(quiet_hours=[NIGHT]), holds=(HoldFact("stop", "drop", at("03 07:00")),))
    found = plan_candidate(try_on(touch(when=event("02 22:00")), known), known, at("02 22:00"))
    assert [(each.at, each.rule, each.id, each.until) for each in found.jumps] == [
        (at("03 08:00"), "hold", "stop", None)
    ]
    assert found.to_decision(known, at("02 22:00")).jumps == found.jumps


def test_what_is_denied_at_once_makes_no_jump_and_its_decision_tells_from_when_it_would_be_allowed() -> None:
    known = facts(chosen=preference(paused_until=at("05 00:00")))
    line = plan_candidate(try_on(touch(), known), known, at("02 10:00")).to_decision(known, at("02 10:00"))
    assert (line.outcome, line.jumps, line.allowed_from) == ("suppress", (), at("05 00:00"))


def test_given_up_for_another_channel_it_is_parked_no_more() -> None:
    known = facts(holds=(HoldFact("a", "defer", 0),))
    given_up = plan_candidate(try_on(touch(), known), known, at("02 10:00")).as_other_channel()
    assert (given_up.outcome, given_up.rule_id, given_up.until, given_up.parked) == ("suppress", None, None, None)


def test_what_is_deferred_keeps_all_verdicts_of_the_first_instant() -> None:
    known = facts(policy(quiet_hours=[NIGHT]))
    tried = try_on(touch(when=event("02 22:00")), known)
    assert (
        plan_candidate(tried, known, at("02 22:00")).verdicts == evaluate_rules(tried, known, at("02 22:00")).verdicts
    )


def test_what_is_parked_on_the_way_keeps_its_jumps() -> None:
    known = facts(policy(quiet_hours=[NIGHT]), holds=(HoldFact("outage", "defer", at("03 07:00")),))
    found = plan_candidate(try_on(touch(when=event("02 22:00")), known), known, at("02 22:00"))
    assert (found.outcome, found.rule_id, found.until) == ("defer", "outage", None)
    assert [(each.at, each.id, each.until) for each in found.jumps] == [(at("03 08:00"), "outage", None)]


def test_what_fails_on_the_way_keeps_its_jumps() -> None:
    """At the end of the jump the cap looks further back than the ledger is complete."""
    known = facts(policy(frequency_caps=[{**CAP, "window": {"rolling": "30d"}}]))
    old = contact("2026-02-20T10:00:00Z", state="made")
    past = Ledger(complete_from=at("01 00:00")).put_contact(old)
    found = plan_candidate(try_on(touch(campaign(ttl="365d")), known, past), known, at("02 10:00"))
    assert (found.outcome, found.reason) == ("fail", "policy_unavailable")
    assert [(each.at, each.rule, each.id, each.until) for each in found.jumps] == [
        (at("22 10:00"), "frequency_cap", None, None)
    ]


def test_an_entry_in_shadow_parks_nothing_even_where_a_hold_has_its_name() -> None:
    rules = policy(situations=[COMPLAINT], contact_history=[WAIT], shadow=["wait"])
    opened = Situation("complaint", "", at("02 00:00"))
    known = facts(rules, holds=(HoldFact("wait", "defer", 0),), situations=(opened,))
    found = plan_candidate(try_on(touch(campaign(ttl="30d")), known), known, at("02 10:00")).parked
    assert found is not None
    assert (found.holds, found.situations) == (("wait",), ())
    assert found.wake_at == at("02 10:00") + 30 * DAY
