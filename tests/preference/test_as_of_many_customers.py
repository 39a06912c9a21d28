"""The history of many customers in one request: as of an instant, and after each later change."""

import pytest

from schemas.times import SECOND
from tests.support.preference_service import NOW, Running, change

pytestmark = pytest.mark.wired


async def test_each_state_counts_from_when_it_was_recorded(at_work: Running) -> None:
    await at_work.facts(["c-1"], await at_work.publish(change("e-1", at=NOW, locale="de-DE")))
    at_work.clock.advance(10 * SECOND)
    since = at_work.clock.now()
    at_work.clock.advance(10 * SECOND)
    await at_work.facts(["c-1"], await at_work.publish(change("e-2", at=NOW + 1, locale="en", zone="Europe/Berlin")))
    second = at_work.clock.now()
    found = await at_work.doors.read_recorded(["c-1", "nobody"], since, second)
    first, last = found["c-1"]
    assert (first.at, first.facts.locale, first.by_event) == (since, "de-DE", False)
    assert (last.at, last.facts.locale, last.facts.zone, last.by_event) == (second, "en", "Europe/Berlin", True)
    assert [state.facts.version for state in found["nobody"]] == [0]
    (now,) = (await at_work.doors.read_recorded(["c-1"], second, second))["c-1"]
    assert now.facts == last.facts
