from schemas.facts import Entry, OptOut
from services.orchestrator.deciding.candidate import AHEAD
from services.orchestrator.deciding.decide import decide
from services.orchestrator.deciding.gate import at_gate
from services.orchestrator.deciding.ledger import Ledger
from tests.orchestrator.deciding.build import at, campaign, contact, facts, ledger, policy, preference, touch

OFFER = campaign()
CAPPED = policy(frequency_caps=[{"id": "cap", "limit": 1, "window": {"rolling": "24h"}, "on_exceed": "defer"}])
OWN = contact("02 10:00", of=OFFER, event_id="e-1", state="made")
URGENT = campaign("urgent", priority=80)
NOW = at("02 10:00") + 2_000_000


def gate(past: Ledger, known: object = None, now: int = NOW) -> tuple[str, str, int | None] | None:
    found = at_gate(touch(OFFER), "email", known or facts(CAPPED), past, at("02 10:00"), now)  # type: ignore[arg-type]
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
    ahead = Entry(None, None, None, NOW + 1_000_000, None, "stop_keyword")
    assert gate(ledger(OWN), facts(entries=(ahead,))) == ("suppress", "suppression_list", None)
    again = decide([touch(OFFER)], facts(entries=(ahead,)), ledger(OWN), NOW, ahead=AHEAD)
    assert again.decisions[0].reason == "suppression_list"  # or it would be marked and stopped again and again


def test_a_defer_at_the_gate_plans_on_with_the_planned_contacts_that_outrank_it() -> None:
    urgent = contact("03 10:00", of=URGENT, state="planned", since="01 10:00")
    past = ledger(OWN, contact("02 09:00"), urgent)
    assert gate(past) == ("defer", "cap_window", at("04 10:00"))


def test_an_entry_slightly_ahead_counts_at_the_instants_planned_on_to_as_well() -> None:
    ahead = Entry(None, None, None, at("03 09:01"), None, "stop_keyword")
    assert gate(ledger(OWN, contact("02 09:00")), facts(CAPPED, entries=(ahead,))) == (
        "suppress",
        "suppression_list",
        None,
    )


def test_a_rule_that_cannot_be_judged_at_the_gate_stops_it() -> None:
    broken = at_gate(touch(campaign(audience="broken")), "email", facts(), ledger(OWN), at("02 10:00"), NOW)
    assert broken is not None
    assert (broken.outcome, broken.reason) == ("fail", "policy_unavailable")
