"""Recorded facts in a simulation: each state from when it was known, holds while they were known."""

import pytest

from schemas.facts import HoldFact as Hold
from schemas.facts import Preference, Situation, Suppressions
from schemas.policy import Policy as Document
from schemas.recorded import CustomerHistory, HoldPeriod, PreferenceSnapshot, SuppressionsSnapshot
from schemas.times import SECOND
from services.orchestrator.policy.compiled_policy import CompiledPolicy, compile_policy
from services.simulation.recorded_traffic import FENCE_WAIT, RecordedFactsSource
from tests.support.document_builders import MONDAY

pytestmark = pytest.mark.wired


def rules() -> CompiledPolicy:
    return compile_policy(Document.model_validate({"zone": "Etc/UTC"}), 1)


def suppressions(*kinds: str) -> Suppressions:
    return Suppressions("c-1", situations=tuple(Situation(kind, "", MONDAY) for kind in kinds))


def world(*states: SuppressionsSnapshot, holds: tuple[HoldPeriod, ...] = ()) -> RecordedFactsSource:
    chosen = (PreferenceSnapshot(MONDAY, Preference("c-1", 1)),)
    start = SuppressionsSnapshot(MONDAY, suppressions())
    return RecordedFactsSource(rules(), [CustomerHistory("c-1", chosen, (), (start, *states))], holds)


def test_facts_are_those_of_the_start_until_a_change_is_learnt() -> None:
    here = world(SuppressionsSnapshot(MONDAY + 9 * SECOND, suppressions("complaint")))
    assert here.facts_of("c-1").situations_by_kind == {}
    (change,) = here.facts_changes()
    assert (change.at, change.customer) == (MONDAY + 9 * SECOND, "c-1")
    change.apply()
    assert set(here.facts_of("c-1").situations_by_kind) == {"complaint"}


def test_what_an_event_changed_counts_as_early_as_decisions_wait_for_it_and_nothing_overtakes() -> None:
    person = SuppressionsSnapshot(MONDAY + 9 * SECOND, suppressions("a"))
    event = SuppressionsSnapshot(MONDAY + 10 * SECOND, suppressions("a", "b"), True)
    assert [change.at for change in world(person, event).facts_changes()] == [MONDAY + 10 * SECOND - FENCE_WAIT] * 2
    later = SuppressionsSnapshot(MONDAY + 60 * SECOND, suppressions("a", "b"), True)
    assert [change.at for change in world(person, later).facts_changes()] == [person.at, later.at - FENCE_WAIT]


def test_a_hold_is_in_force_while_it_was_known() -> None:
    hour = 3600 * SECOND
    holds = (
        HoldPeriod(MONDAY, MONDAY + hour, Hold("lifted", "drop", MONDAY - hour)),
        HoldPeriod(MONDAY, None, Hold("ends", "drop", MONDAY + hour, MONDAY + 2 * hour)),
        HoldPeriod(MONDAY, MONDAY + hour, Hold("never", "drop", MONDAY + hour)),
    )
    found = {hold.key: (hold.start, hold.until) for hold in world(holds=holds).facts_of("c-1").all_holds}
    assert found == {"lifted": (MONDAY, MONDAY + hour), "ends": (MONDAY + hour, MONDAY + 2 * hour)}
