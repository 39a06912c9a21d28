"""What is said of accepted events: the nearest types are found for a few types of a request, however many it has."""

import time
from types import SimpleNamespace
from typing import Any, cast

from schemas.customer import Customer
from schemas.documents import validate_document
from schemas.own_events import CheckedData
from services.orchestrator.decisions.event_notes import (
    MAX_COMPARED,
    MAX_IGNORED,
    MAX_SUGGESTIONS,
    note_data,
    note_types,
)

KNOWN = [f"shop.order.event{number}.delivered" for number in range(200)]


def catalogue() -> Any:
    document = SimpleNamespace(situations=())
    return SimpleNamespace(
        policy=SimpleNamespace(document=document), by_event=dict.fromkeys(KNOWN, ()), is_triggered_by=KNOWN.__contains__
    )


def test_each_type_has_its_note_and_the_first_have_the_nearest_types() -> None:
    types = [f"shop.order.delivered{number}" for number in range(1_000)]
    begun = time.process_time()
    notes = note_types([KNOWN[0], *types, *types], catalogue())
    assert time.process_time() - begun < 5  # with the nearest types of each it took 25 s
    assert notes[KNOWN[0]] == []
    assert [notes[each][0]["code"] for each in types] == ["nothing_listens"] * 1_000
    assert sum(bool(notes[each][0]["nearest"]) for each in types) == MAX_COMPARED


def test_of_thousands_of_fields_without_effect_the_first_are_named() -> None:
    policy = SimpleNamespace(document=SimpleNamespace(topics=()))
    checked = CheckedData({}, ignored=tuple(f"field{number}" for number in range(10_000)))
    notes = note_data(checked, cast("Any", SimpleNamespace(policy=policy)), None)
    assert [note["pointer"] for note in notes] == [*(f"/data/field{number}" for number in range(MAX_IGNORED)), "/data"]
    assert notes[-1]["detail"].startswith("9980 more")


def test_of_a_thousand_unknown_topics_few_are_compared_with_few_of_a_thousand_others() -> None:
    topics = tuple(SimpleNamespace(key=f"topic-{number}", required=False) for number in range(1_000))
    policy = SimpleNamespace(document=SimpleNamespace(topics=topics))
    opt_outs = [{"topic": f"topik-{number}"} for number in range(1_000)]
    customer = validate_document(Customer, {"customer": "c-1", "opt_outs": opt_outs})
    began = time.process_time()
    notes = note_data(CheckedData({}, customer=customer), cast("Any", SimpleNamespace(policy=policy)), None)
    assert time.process_time() - began < 0.2  # with all of them it took 10 s
    assert [note["code"] for note in notes] == ["no_effect"] * 1_000
    assert sum("did you mean" in note["detail"] for note in notes) == MAX_SUGGESTIONS
