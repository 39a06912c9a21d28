"""How a person corrects a situation: it is taken back, or its times are set."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.facts import Situation
from schemas.own_events import check_event
from services.suppression.situation_intervals import Intervals, IntervalUpdate, apply_transitions
from tests.support.suppression_service import COMPLAINT, LOW_SCORE, at, event, kinds

KINDS = kinds(COMPLAINT, LOW_SCORE)
OPEN = Situation("complaint", '"A"', at("02T10:00"))
CLOSED = Situation("complaint", '"A"', at("01T10:00"), at("01T12:00"))
OTHER = Situation("complaint", '"B"', at("02T09:00"))
NOW = at("09T10:00")


def correct(intervals: Intervals, **data: Any) -> IntervalUpdate:
    happened = event("tactful.situation.corrected", {"kind": "complaint", "ref": "A", **data}, time=NOW)
    return apply_transitions(
        intervals, KINDS.read_transitions(happened, check_event(happened, KINDS.lapses)), NOW, KINDS
    )


def test_what_was_taken_back_never_was() -> None:
    update = correct((CLOSED, OTHER, OPEN), withdrawn=True)
    assert update.intervals == (CLOSED, OTHER)
    assert [(each.action, each.situation) for each in update.changes] == [("withdrawn", ("complaint", '"A"'))]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({"opened": "2026-03-01T08:00:00Z"}, Situation("complaint", '"A"', at("01T08:00"))),
        ({"closed": "2026-03-03T08:00:00Z"}, Situation("complaint", '"A"', at("02T10:00"), at("03T08:00"))),
    ],
    ids=["began", "ended"],
)
def test_times_are_those_that_were_said(data: dict[str, str], expected: Situation) -> None:
    update = correct((OTHER, OPEN), **data)
    assert update.intervals == (OTHER, expected)
    assert update.changes[0].opened == expected.opened and update.changes[0].closed == expected.closed


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"withdrawn": "yes"},
        {"opened": "soon"},
        {"opened": "2026-03-20T08:00:00Z"},
        {"closed": "2026-03-01T08:00:00Z"},
        {"opened": "2026-03-02T10:00:00Z"},
        {"withdrawn": True, "kind": "complant"},
        {"withdrawn": True, "ref": "C"},
    ],
    ids=[
        "nothing",
        "no truth value",
        "no time",
        "ahead",
        "ends before it began",
        "the same",
        "other kind",
        "other ref",
    ],
)
def test_a_correction_that_cannot_be_changes_nothing(data: dict[str, Any]) -> None:
    update = correct((OTHER, OPEN), **data)
    assert (update.intervals, update.changes) == ((OTHER, OPEN), ())


@given(st.booleans(), st.integers(0, 200), st.integers(0, 200))
def test_no_correction_leaves_an_end_before_its_beginning_or_touches_another(
    withdrawn: bool, opened: int, closed: int
) -> None:
    times = {"opened": opened, "closed": closed}
    said = {name: f"2026-03-{1 + hours // 24:02}T{hours % 24:02}:00:00Z" for name, hours in times.items()}
    update = correct((CLOSED, OTHER, OPEN), **({"withdrawn": True} if withdrawn else said))
    assert update.intervals[:2] == (CLOSED, OTHER)
    for each in update.intervals:
        assert each.closed is None or each.closed >= each.opened
