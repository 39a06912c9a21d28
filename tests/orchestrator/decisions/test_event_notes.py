"""What is said of accepted events: the nearest types are found for a few types of a request, however many it has."""

import time
from types import SimpleNamespace
from typing import Any

from services.orchestrator.decisions.event_notes import MAX_COMPARED, note_types

KNOWN = [f"shop.order.event{number}.delivered" for number in range(200)]


def catalogue() -> Any:
    document = SimpleNamespace(situations=())
    return SimpleNamespace(
        policy=SimpleNamespace(document=document), by_event=dict.fromkeys(KNOWN, ()), is_triggered_by=KNOWN.__contains__
    )


def test_each_type_has_its_note_and_the_first_have_the_nearest_types() -> None:
    types = [f"shop.order.delivered{number}" for number in range(1_000)]
    begun = time.perf_counter()
    notes = note_types([KNOWN[0], *types, *types], catalogue())
    assert time.perf_counter() - begun < 5  # with the nearest types of each it took 25 s
    assert notes[KNOWN[0]] == []
    assert [notes[each][0]["code"] for each in types] == ["nothing_listens"] * 1_000
    assert sum(bool(notes[each][0]["nearest"]) for each in types) == MAX_COMPARED
