from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.facts import Consent, HoldFact, OptOut, SuppressionEntry, Suppressions
from schemas.permission import CLOCK_TOLERANCE
from schemas.times import MINUTE, SECOND, format_instant
from services.orchestrator.policy import recheck
from services.orchestrator.policy.customer_facts import Facts
from services.orchestrator.policy.decide import decide
from services.orchestrator.policy.ledger import Ledger
from services.orchestrator.policy.recheck import is_still_allowed, recheck_message
from tests.support.policy_builders import (
    GRANTED,
    at,
    campaign,
    contact,
    event,
    facts,
    ledger,
    policy,
    preference,
    touch,
)

OFFER = campaign()
CAPPED = policy(frequency_caps=[{"id": "cap", "limit": 1, "window": {"rolling": "24h"}, "on_exceed": "defer"}])
OWN = contact("02 10:00", of=OFFER, event_id="e-1", state="made")
URGENT = campaign("urgent", priority=80)
NOW = at("02 10:00") + 2_000_000


def gate(past: Ledger, known: object = None, now: int = NOW) -> tuple[str, str, int | None] | None:
    found = recheck_message(touch(OFFER), "email", known or facts(CAPPED), past, at("02 10:00"), now)  # type: ignore[arg-type]
    return None if found is None else (found.outcome, found.reason, found.until)


def test_a_gate_that_agrees_says_nothing() -> None:
    assert gate(ledger(OWN)) is None


def test_nothing_merely_planned_counts_after_the_mark() -> None:
    assert gate(ledger(OWN, contact("02 12:00", of=URGENT, state="planned", since="01 10:00"))) is None


def test_what_is_being_handed_over_counts_against_everybody() -> None:
    for state in ("made", "unknown"):
        minor = contact("02 09:00", of=campaign("minor", priority=0), state=state)
        assert gate(ledger(OWN, minor)) == ("defer", "cap_window", at("03 09:00"))


def test_rules_over_contacts_are_judged_for_the_time_of_the_mark() -> None:
    before = contact("2026-03-01T10:00:01Z")
    assert gate(ledger(OWN, before)) == ("defer", "cap_window", at("02 10:00") + 1_000_000)  # though it is free by now


def test_all_other_rules_are_judged_for_the_present() -> None:
    known = facts(chosen=preference(paused_until=at("02 10:00") + 1_000_000))
    assert gate(ledger(OWN), known) is None
    assert gate(ledger(OWN), known, at("02 10:00")) == ("suppress", "paused", None)
    quiet = facts(policy(quiet_hours=[{"id": "q", "from": "10:01", "to": "11:00"}]))
    assert gate(ledger(OWN), quiet, at("02 10:01")) == ("defer", "quiet_hours", at("02 11:00"))


def test_fresh_facts_stop_it() -> None:
    assert gate(ledger(OWN), facts(chosen=preference(opt_outs=(OptOut(all=True),)))) == (
        "suppress",
        "opted_out_all",
        None,
    )
    ahead = SuppressionEntry(None, None, None, NOW + 1_000_000, None, "stop_keyword")
    assert gate(ledger(OWN), facts(entries=(ahead,))) == ("suppress", "suppression_list", None)
    again = decide([touch(OFFER)], facts(entries=(ahead,)), ledger(OWN), NOW, clock_tolerance=CLOCK_TOLERANCE)
    assert again.decisions[0].reason == "suppression_list"  # or it would be marked and stopped again and again


def test_a_defer_at_the_gate_plans_on_with_the_planned_contacts_that_outrank_it() -> None:
    urgent = contact("03 10:00", of=URGENT, state="planned", since="01 10:00")
    past = ledger(OWN, contact("02 09:00"), urgent)
    assert gate(past) == ("defer", "cap_window", at("04 10:00"))


def test_an_entry_slightly_ahead_counts_at_the_instants_planned_on_to_as_well() -> None:
    ahead = SuppressionEntry(None, None, None, at("03 09:01"), None, "stop_keyword")
    assert gate(ledger(OWN, contact("02 09:00")), facts(CAPPED, entries=(ahead,))) == (
        "suppress",
        "suppression_list",
        None,
    )


def test_a_rule_that_cannot_be_judged_at_the_gate_stops_it() -> None:
    broken = recheck_message(touch(campaign(audience="broken")), "email", facts(), ledger(OWN), at("02 10:00"), NOW)
    assert broken is not None
    assert (broken.outcome, broken.reason) == ("fail", "policy_unavailable")


T = at("02 10:00:20")
NEAR = st.integers(-400, 400).map(lambda seconds: T + seconds * SECOND)
CONSENT = st.builds(
    Consent, st.just("email"), st.sampled_from(["news", "*"]), st.sampled_from(["granted", "refused"]), NEAR, NEAR
)
ENTRY = st.builds(
    SuppressionEntry, st.none(), st.none(), st.none(), NEAR, NEAR, st.just("legal"), st.sampled_from([None, 0])
)
HOLD = st.builds(HoldFact, st.just("outage"), st.sampled_from(["drop", "defer"]), NEAR, NEAR)
MINUTES = st.integers(9 * 60 + 55, 10 * 60 + 5).map(lambda minute: f"{minute // 60:02}:{minute % 60:02}")
CHANGES: dict[str, st.SearchStrategy[Any]] = {
    "end": NEAR.map(format_instant),
    "expires": NEAR.map(format_instant),
    "paused": NEAR,
    "consent": CONSENT,
    "entry": ENTRY,
    "hold": HOLD,
    "own": HOLD,
    "quiet": st.lists(MINUTES, min_size=2, max_size=2, unique=True),
    "before": st.sampled_from(["01 10:00:20", "01 10:00:21", "02 09:59"]),
}
ANY = st.one_of([st.tuples(st.just(name), what) for name, what in CHANGES.items()])


@settings(max_examples=500)
@given(now=st.integers(0, 90).map(lambda seconds: T + seconds * SECOND), changes=st.lists(ANY, max_size=2).map(dict))
def test_what_need_not_be_judged_again_would_be_allowed_again(now: int, changes: dict[str, Any]) -> None:
    def some(name: str) -> tuple[Any, ...]:
        return (changes[name],) if name in changes else ()

    rules = policy(
        frequency_caps=[{"id": "cap", "limit": 1, "window": {"rolling": "24h"}, "on_exceed": "defer"}],
        quiet_hours=[{"id": "q", "from": first, "to": after} for first, after in some("quiet")],
    )
    chosen = preference(consent=(*GRANTED, *some("consent")), paused_until=changes.get("paused"))
    known = Facts(
        chosen, Suppressions("c-1", 1, some("entry"), (), some("own")), some("hold"), rules, frozenset({"email"})
    )
    of = touch(campaign(end=changes.get("end")), event(expires=changes.get("expires")))
    judged = decide([of], known, ledger(*map(contact, some("before"))), T)
    if judged.decisions[0].outcome == "send" and is_still_allowed(of, known, T, now):
        marked = judged.ledger.claim_contact(of.message_id("email"), T)
        assert recheck_message(of, "email", known, marked, T, now) is None


def last(**changes: Any) -> bool:
    """Whether a message that was allowed at T need not be judged again 30 s later."""
    chosen = preference(consent=(*GRANTED, *changes.get("consent", ())))
    known = facts(chosen=chosen, holds=changes.get("holds", ()), entries=changes.get("entries", ()))
    of = touch(campaign(end=changes.get("end")), event(expires=changes.get("expires")))
    return is_still_allowed(of, known, T, changes.get("now", SOON))


def granted(when: int, expires: int | None) -> dict[str, Any]:
    return {"consent": (Consent("email", "*", "granted", when, expires),)}


def entry(when: int) -> dict[str, Any]:
    return {"entries": (SuppressionEntry(None, None, None, when, None, "legal"),)}


def hold(when: int) -> dict[str, Any]:
    return {"holds": (HoldFact("outage", "drop", when),)}


SOON = T + 30 * SECOND
CASES: list[tuple[dict[str, Any], bool]] = [
    ({}, True),
    ({"now": T}, True),
    ({"now": T - 1}, False),
    ({"now": T + 40 * SECOND}, False),  # a new minute may begin quiet hours
    ({"now": T + 40 * SECOND - 1}, True),
    ({"expires": "02 10:00:50"}, False),
    ({"expires": "02 10:00:51"}, True),
    ({"end": "2026-03-02T10:00:50Z"}, False),
    ({"end": "2026-03-02T10:00:51Z"}, True),
    (granted(T, None), True),
    (granted(T + 1, None), False),
    (granted(SOON + CLOCK_TOLERANCE, None), False),
    (granted(SOON + CLOCK_TOLERANCE + 1, None), True),
    (granted(0, T), True),
    (granted(0, T + 1), False),
    (granted(0, SOON), False),
    (granted(0, SOON + 1), True),
    (entry(T), True),
    (entry(T + 1), False),
    (entry(SOON + CLOCK_TOLERANCE), False),
    (entry(SOON + CLOCK_TOLERANCE + 1), True),
    (hold(T), True),
    (hold(T + 1), False),
    (hold(SOON + CLOCK_TOLERANCE), False),
    (hold(SOON + CLOCK_TOLERANCE + 1), True),
]


@pytest.mark.parametrize(("changes", "expected"), CASES)
def test_what_was_allowed_is_judged_again_when_something_begins_or_ends_meanwhile(
    changes: dict[str, Any], expected: bool
) -> None:
    assert last(**changes) is expected


def test_a_hold_of_the_customer_s_own_counts_as_everybody_s() -> None:
    for when, expected in ((T, True), (T + MINUTE, False)):
        own = Suppressions("c-1", 1, holds=(HoldFact("agent", "drop", when),))
        known = Facts(preference(), own, (), policy(), frozenset({"email"}))
        assert is_still_allowed(touch(), known, T, T) is expected


def test_while_a_rule_reads_the_clock_more_finely_every_message_is_evaluated_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert is_still_allowed(touch(), facts(), T, T)
    monkeypatch.setattr(recheck, "NEEDS_FULL_RECHECK", True)
    assert not is_still_allowed(touch(), facts(), T, T)
