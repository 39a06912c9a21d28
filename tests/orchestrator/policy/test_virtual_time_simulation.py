from collections.abc import Mapping
from functools import partial
from typing import Any

import msgspec
import pytest

from schemas.decision import Decision
from schemas.event import Event
from schemas.facts import Situation
from schemas.own_events import CheckedData
from services.orchestrator.policy.compiled_policy import CompiledPolicy
from services.orchestrator.policy.customer_facts import Facts
from services.orchestrator.policy.ledger import Contact, Ledger
from services.orchestrator.policy.match import Catalogue
from services.orchestrator.policy.virtual_time_simulation import (
    FactsChange,
    Int64Set,
    SimulatedEvent,
    Simulator,
    closed_situations,
)
from tests.support.policy_builders import at, campaign, contact, event, facts, policy

NIGHT = {"id": "night", "from": "21:00", "to": "08:00"}
CAP = {"id": "cap", "limit": 1, "window": {"rolling": "24h"}, "on_exceed": "defer"}
WAIT = {
    "id": "wait",
    "never": {"after": {"situation": "complaint"}, "within": "1d", "while_open": True},
    "on_match": "defer",
}
COMPLAINT = {
    "kind": "complaint",
    "opens": [{"event": "shop.filed"}],
    "closes": [{"event": "shop.solved"}],
    "lapses": "5d",
}


class SmallWorld:
    """One kind of situation, and reports of contacts."""

    def __init__(self, rules: CompiledPolicy) -> None:
        self.rules = rules
        self.situations: tuple[Situation, ...] = ()

    def apply_event(self, event: Event, data: Mapping[str, Any], at: int) -> CheckedData:
        if event.type == "shop.bad":
            return CheckedData({}, (("", "bad", "bad"),), refused=True)
        if event.type == "shop.filed":
            self.situations = (*self.situations, Situation("complaint", "", event.time))
        if event.type == "shop.solved":
            self.situations = tuple(Situation(each.kind, each.ref, each.opened, event.time) for each in self.situations)
        if event.type == "shop.refiled":
            self.situations = (Situation("complaint", "", 0, event.time), Situation("complaint", "", event.time))
        return CheckedData(data)

    def facts_of(self, customer: str) -> Facts:
        return facts(self.rules, situations=self.situations)

    def read_reported_contact(self, event: Event, data: Mapping[str, Any]) -> Contact | None:
        return contact("02 10:00", reported=True) if event.type == "shop.report" else None


def simulate(
    rules: CompiledPolicy, *events: Event, until: str | None = None, **fields: Any
) -> tuple[Simulator, list[Decision]]:
    catalogue = Catalogue({"offer": campaign(**fields)}, rules, frozenset({"email"}))
    simulation = Simulator(catalogue, SmallWorld(rules), None if until is None else at(until))
    return simulation, list(simulation.replay_arrivals(SimulatedEvent(each.time, each, {}) for each in events))


def lines(decisions: list[Decision]) -> list[tuple[Any, ...]]:
    return [(each.time, each.outcome, each.reason) for each in decisions]


def test_time_never_goes_back_and_a_late_event_is_judged_at_the_present() -> None:
    late = event("02 09:00", "e-2")
    _, found = simulate(policy(), event("02 12:00"), late, ttl="2h")
    assert lines(found) == [(at("02 12:00"), "send", "eligible"), (at("02 12:00"), "suppress", "expired")]


def test_a_deferred_message_is_judged_again_exactly_at_its_time() -> None:
    _, found = simulate(policy(quiet_hours=[NIGHT]), event("02 22:00"))
    assert lines(found) == [(at("02 22:00"), "defer", "quiet_hours"), (at("03 08:00"), "send", "eligible")]


@pytest.mark.parametrize(
    ("until", "count"), [("03 08:00", 2), ("03 07:59:59", 1), ("02 22:00", 1), ("02 21:59:59", 0), (None, 2)]
)
def test_until_is_inclusive_for_events_and_due_messages(until: str | None, count: int) -> None:
    assert len(simulate(policy(quiet_hours=[NIGHT]), event("02 22:00"), until=until)[1]) == count


def test_reading_stops_at_the_first_event_that_is_later() -> None:
    simulation, _ = simulate(
        policy(), event("02 10:00"), event("03 10:00", "e-2"), event("02 11:00", "e-3"), until="02 12:00"
    )
    assert simulation.events == 1


def test_a_duplicate_does_nothing_and_a_refused_event_neither() -> None:
    bad = event("02 10:00", "e-2", type="shop.bad")
    simulation, found = simulate(policy(), event(), event("02 11:00"), bad, bad)
    assert (len(found), simulation.events, simulation.duplicates, simulation.refused) == (1, 4, 1, 2)


def test_events_come_before_due_messages_at_one_instant() -> None:
    report = event("03 08:00", "e-r", type="shop.report")
    rules = policy(quiet_hours=[NIGHT], frequency_caps=[CAP])
    _, found = simulate(rules, event("02 22:00"), report)
    assert lines(found)[0][:2] == (at("02 22:00"), "defer")
    assert found[1].until == at("03 10:00")  # the report of 10:00 the day before was taken in first


def test_events_come_before_due_messages_even_when_others_were_due_earlier() -> None:
    rules = policy(quiet_hours=[NIGHT], frequency_caps=[CAP], situations=[COMPLAINT], contact_history=[WAIT])
    filed = event("04 08:00", "f", type="shop.filed")
    _, found = simulate(rules, event("02 22:00"), event("02 23:00", "e-2"), filed, until="04 08:00")
    assert lines(found)[2:] == [(at("03 08:00"), "send", "eligible"), (at("04 08:00"), "defer", "contact_history")]


def test_a_parked_message_wakes_when_its_situation_closes_lapses_or_it_expires() -> None:
    rules = policy(situations=[COMPLAINT], contact_history=[WAIT])
    filed, asked = event("02 09:00", "f", type="shop.filed"), event("02 10:00")
    solved = event("03 12:00", "s", type="shop.solved")
    closed = simulate(rules, filed, asked, solved)[1]
    assert [(each.time, each.until) for each in closed] == [
        (at("02 10:00"), None),
        (at("03 12:00"), at("04 12:00")),
        (at("04 12:00"), None),
    ]
    lapsed = simulate(rules, filed, asked)[1]
    assert [each.time for each in lapsed] == [at("02 10:00"), at("07 09:00"), at("08 09:00")]
    expired = simulate(rules, filed, asked, ttl="2d")[1]
    assert lines(expired)[1] == (at("04 10:00"), "suppress", "expired")


def test_what_was_woken_and_judged_again_is_not_judged_at_its_old_time_too() -> None:
    rules = policy(situations=[COMPLAINT], contact_history=[WAIT])
    again = (event("03 12:00", "s", type="shop.solved"), event("03 13:00", "g", type="shop.filed"))
    found = simulate(rules, event("02 09:00", "f", type="shop.filed"), event("02 10:00"), *again, ttl="30d")[1]
    assert [each.time for each in found] == [
        at("02 10:00"),
        at("03 12:00"),
        at("04 12:00"),
        at("08 13:00"),
        at("09 13:00"),
    ]


def test_a_message_that_the_end_of_a_situation_triggers_is_judged_once_then() -> None:
    rules = policy(situations=[COMPLAINT], contact_history=[WAIT])
    names = ("report", "filed", "refiled")
    events = [event(f"02 1{hour}:00", name, type=f"shop.{name}") for hour, name in enumerate(names)]
    assert len(simulate(rules, *events, until="02 12:00", trigger={"event": "shop.refiled"})[1]) == 1


@pytest.mark.parametrize("name", ["e-1", "e-2", "e-3", "e-4"])
def test_messages_that_wake_together_are_judged_in_order_of_rank(name: str) -> None:
    rules = policy(situations=[COMPLAINT], contact_history=[WAIT], frequency_caps=[CAP])
    both = {key: campaign(key, trigger={"event": "shop.offer"}) for key in ("second", "first")}
    asked = (
        event("02 09:00", "f", type="shop.filed"),
        event("02 10:00", name),
        event("03 12:00", "s", type="shop.solved"),
    )
    simulation = Simulator(Catalogue(both, rules, frozenset({"email"})), SmallWorld(rules), at("03 12:00"))
    found = list(simulation.replay_arrivals(SimulatedEvent(each.time, each, {}) for each in asked))
    assert {each.campaign: each.until for each in found[2:]} == {"first": at("04 12:00"), "second": at("05 12:00")}


def test_lines_of_one_instant_are_sorted_by_message() -> None:
    _, found = simulate(policy(), *(event("02 10:00", f"e-{n}") for n in range(9)))
    assert [each.message_id for each in found] == sorted(each.message_id for each in found)


DAYS = [event(f"2026-0{1 + day // 28}-{1 + day % 28:02d}T10:00:00Z", f"e-{day}") for day in range(112)]


def test_long_histories_are_forgotten_without_changing_a_decision() -> None:
    simulation, found = simulate(policy(frequency_caps=[CAP]), *DAYS)
    assert [each.outcome for each in found] == ["send"] * 112
    assert len(simulation._customers["c-1"].ledger) <= 64


def test_nothing_is_forgotten_where_a_campaign_looks_back_for_ever() -> None:
    rules = policy()
    both = {"offer": campaign(), "welcome": campaign("welcome", reentry="once")}
    first = event("2025-12-01T10:00:00Z", "w-1", type="shop.welcome")
    last = event("2026-05-01T10:00:00Z", "w-2", type="shop.welcome")
    simulation = Simulator(Catalogue(both, rules, frozenset({"email"})), SmallWorld(rules))
    found = list(simulation.replay_arrivals(SimulatedEvent(each.time, each, {}) for each in (first, *DAYS, last)))
    assert [each.reason for each in found] == ["eligible"] * 113 + ["duplicate"]


def test_a_situation_has_ended_when_it_was_open_and_is_no_more() -> None:
    opened, other = Situation("a", "1", 5), Situation("a", "2", 6)
    assert closed_situations((opened, other), (Situation("a", "1", 5, 9), other)) == {("a", "1")}
    assert closed_situations((opened,), (opened,)) == set()
    assert closed_situations((Situation("a", "1", 5, 9),), (Situation("a", "1", 5, 9),)) == set()


def test_numbers_are_a_set_however_many_and_whatever_they_are() -> None:
    numbers = Int64Set()
    given = [0, 1, -1, 2**63 - 1, -(2**63), *(7919 * number for number in range(2, 5_000))]
    assert not any(number in numbers for number in given[2:])
    for number in [*given, *given]:
        numbers.add(number)
    assert all(number in numbers for number in given)
    assert not any(7919 * number + 1 in numbers for number in range(2, 5_000))


def test_zero_is_a_number_like_others() -> None:
    numbers = Int64Set()
    assert 0 not in numbers
    numbers.add(0)
    assert 0 in numbers


@pytest.mark.parametrize("first", [1, 2**62])
def test_numbers_that_end_alike_are_a_set_too(first: int) -> None:
    numbers = Int64Set()
    given = [first, *(number << 32 for number in range(1, 700))]
    for number in given:
        assert number not in numbers
        numbers.add(number)
    assert all(number in numbers for number in given)


def test_a_number_takes_at_most_32_bytes() -> None:
    numbers = Int64Set()
    for count in range(1, 5_000):
        numbers.add(7919 * count)
        numbers.add(7919 * count)
        assert len(numbers._slots) * numbers._slots.itemsize <= max(8192, 32 * count)


def test_events_of_two_customers_with_one_id_are_two_events() -> None:
    simulation, found = simulate(policy(), event("02 10:00"), msgspec.structs.replace(event("02 10:00"), subject="c-2"))
    assert (len(found), simulation.duplicates) == (2, 0)


def _learn(world: SmallWorld, learnt: Event) -> None:
    world.apply_event(learnt, {}, learnt.time)


def replay(rules: CompiledPolicy, *arrivals: Any, ledgers: Mapping[str, Ledger] | None = None) -> list[Decision]:
    """As `simulate`, of what came in at instants of its own; a text is a situation that opens or closes then."""
    world = SmallWorld(rules)
    catalogue = Catalogue({"offer": campaign()}, rules, frozenset({"email"}))
    made: list[SimulatedEvent | FactsChange] = []
    for when, what in arrivals:
        if isinstance(what, str):
            learnt = event(when, what, type=f"shop.{what}")
            made.append(FactsChange(at(when), learnt.subject, partial(_learn, world, learnt)))
        else:
            made.append(SimulatedEvent(at(when), what, {}))
    return list(Simulator(catalogue, world, None, ledgers).replay_arrivals(made))


def test_recorded_events_are_judged_when_they_came_in() -> None:
    found = replay(policy(quiet_hours=[NIGHT]), ("02 22:00", event("02 12:00")))
    assert lines(found)[0] == (at("02 22:00"), "defer", "quiet_hours")


def test_what_is_learnt_without_an_event_counts_from_then_on_and_wakes_what_it_parked() -> None:
    rules = policy(situations=[COMPLAINT], contact_history=[{**WAIT, "scope": {}}])
    assert lines(replay(rules, ("02 12:00", event("02 12:00")), ("02 13:00", "filed")))[0][1] == "send"
    found = replay(rules, ("02 11:00", "filed"), ("02 12:00", event("02 12:00")), ("02 15:00", "solved"))
    assert [line[:2] for line in lines(found)] == [
        (at("02 12:00"), "defer"),
        (at("02 15:00"), "defer"),
        (at("03 15:00"), "send"),
    ]


def test_contacts_made_before_the_start_count() -> None:
    before = Ledger.empty().put_reported_contact(contact("02 10:00"))
    found = replay(policy(frequency_caps=[CAP]), ("02 12:00", event("02 12:00")), ledgers={"c-1": before})
    assert lines(found)[0] == (at("02 12:00"), "defer", "cap_window")
