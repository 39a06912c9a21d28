"""How events open and close a customer's situations."""

from collections.abc import Iterable
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.facts import Situation
from schemas.own_events import CheckedData, check_event
from schemas.times import DAY, HOUR
from services.suppression.situation_intervals import (
    MAX_REF_LENGTH,
    MAX_UNCOMPACTED,
    Intervals,
    SituationKinds,
    SituationRef,
    SituationTransitions,
    apply_event,
    apply_transitions,
    canonical_ref,
)
from tests.support.suppression_service import COMPLAINT, LOW_SCORE, NOW, at, event, kinds

FILED, RESOLVED, FEEDBACK = "shop.complaint.filed", "shop.complaint.resolved", "tactful.feedback.given"
KINDS = kinds(COMPLAINT, LOW_SCORE)


def after(*steps: tuple[str, object, int], known: SituationKinds = KINDS) -> Intervals:
    intervals: Intervals = ()
    for kind, data, time in steps:
        happened = event(kind, data, time=time)
        result = apply_event(intervals, happened, check_event(happened), known)
        assert result is not None
        intervals = result
    return intervals


def test_an_event_opens_and_another_closes() -> None:
    steps = (FILED, {"case": "A"}, at("02T10:00")), (RESOLVED, {"case": "A"}, at("03T12:00"))
    assert after(*steps) == (Situation("complaint", '"A"', at("02T10:00"), at("03T12:00")),)


def test_an_event_of_another_type_does_not_concern_situations() -> None:
    assert apply_event((), event("shop.order"), CheckedData({}), KINDS) is None


def test_opening_what_is_open_changes_nothing() -> None:
    once = after((FILED, {"case": "A"}, at("02T10:00")))
    again = apply_event(once, event(FILED, time=at("02T12:00")), CheckedData({"case": "A"}), KINDS)
    assert again is once


def test_closing_what_is_not_open_is_ignored_and_counted() -> None:
    signs = KINDS.read_transitions(event(RESOLVED), CheckedData({"case": "A"}))
    folded = apply_transitions((), signs, NOW, KINDS)
    assert folded.intervals == () and folded.changes == () and folded.ignored == 1


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ({"case": 1}, {"case": 1.0}, True),
        ({"case": True}, {"case": 1}, False),
        ({"case": "1"}, {"case": 1}, False),
        ({"case": {"a": 1, "b": [2, 3.0]}}, {"case": {"b": [2.0, 3], "a": 1}}, True),
        ({"case": [1, 2]}, {"case": [2, 1]}, False),
        ({"case": None}, {}, True),
        ({}, {"case": ""}, False),
        ({"case": {"a": None}}, {"case": {}}, False),
        ({"case": "é"}, {"case": "\u0065\u0301"}, False),
        ({"case": "x" * MAX_REF_LENGTH}, {"case": "x" * MAX_REF_LENGTH}, True),
        ({"case": "x" * MAX_REF_LENGTH + "1"}, {"case": "x" * MAX_REF_LENGTH + "2"}, False),
    ],
)
def test_refs_are_compared_as_json(one: object, other: object, same: bool) -> None:
    intervals = after((FILED, one, NOW), (FILED, other, NOW + 1))
    assert len(intervals) == (1 if same else 2)


def test_a_long_ref_is_kept_as_its_hash() -> None:
    assert len(canonical_ref("x" * 200_000)) < MAX_REF_LENGTH


@pytest.mark.parametrize(
    ("time", "count"), [(at("12T09:59"), 1), (at("12T10:00"), 2)], ids=["a minute before its lapse", "at its lapse"]
)
def test_past_its_lapse_a_situation_can_be_opened_anew(time: int, count: int) -> None:
    assert len(after((FILED, {"case": "A"}, at("02T10:00")), (FILED, {"case": "A"}, time))) == count


def test_past_its_lapse_a_situation_is_not_closed() -> None:
    intervals = after((FILED, {"case": "A"}, at("02T10:00")), (RESOLVED, {"case": "A"}, at("12T10:00")))
    assert intervals[0].closed is None


def test_an_event_that_arrives_late_still_closes_what_is_open() -> None:
    intervals = after((FILED, {"case": "A"}, at("02T10:00")), (RESOLVED, {"case": "A"}, at("02T09:00")))
    assert intervals == (Situation("complaint", '"A"', at("02T10:00"), at("02T09:00")),)


def test_an_event_that_does_both_closes_first() -> None:
    both = kinds({"kind": "outage", "opens": [{"event": "shop.down"}], "closes": [{"event": "shop.down"}]})
    intervals = after(("shop.down", {}, NOW), ("shop.down", {}, NOW + HOUR), known=both)
    assert intervals == (Situation("outage", "", NOW, NOW + HOUR), Situation("outage", "", NOW + HOUR))


@pytest.mark.parametrize(
    ("score", "opened"),
    [(6, True), (6.5, False), (7, False), ("bad", True), (None, False), (True, True), ([1], True)],
)
def test_a_condition_decides_and_a_type_error_in_it_opens(score: object, opened: bool) -> None:
    assert bool(after((FEEDBACK, {"score": score}, NOW))) == opened


def test_a_type_error_in_a_condition_does_not_close() -> None:
    intervals = after((FEEDBACK, {"score": 3}, NOW), (FEEDBACK, {"score": "good"}, NOW + HOUR))
    assert intervals == (Situation("low_score", "", NOW),)


def test_a_condition_sees_type_and_time_of_the_event() -> None:
    document = {"kind": "night", "opens": [{"event": "x", "when": "event.type == 'x' && event.time.getHours() == 10"}]}
    assert after(("x", {}, NOW), known=kinds(document))
    assert not after(("x", {}, NOW + HOUR), known=kinds(document))


def test_a_condition_cannot_name_the_customer() -> None:
    with pytest.raises(ValueError):
        kinds({"kind": "vip", "opens": [{"event": "x", "when": "customer.traits.vip"}]})


def test_several_triggers_of_one_kind_open_one_interval() -> None:
    twice = kinds({"kind": "k", "opens": [{"event": "x"}, {"event": "x", "when": "true"}]})
    assert len(after(("x", {}, NOW), known=twice)) == 1


def test_the_built_in_events_open_and_close_what_they_name() -> None:
    told = {"kind": "dispute", "ref": {"id": 7}}
    opened = after(("tactful.situation.opened", told, NOW))
    assert opened == (Situation("dispute", '{"id":7}', NOW),)
    closed = after(("tactful.situation.opened", told, NOW), ("tactful.situation.closed", told, NOW + HOUR))
    assert closed[0].closed == NOW + HOUR


@pytest.mark.parametrize("data", [{}, {"kind": 7}, {"kind": ""}, {"kind": "A B"}, {"kind": "complaint\n"}])
def test_a_built_in_event_without_a_kind_opens_nothing(data: object) -> None:
    assert after(("tactful.situation.opened", data, NOW)) == ()


def test_a_ref_is_found_along_its_path_and_absent_where_the_path_breaks() -> None:
    deep = kinds({"kind": "k", "opens": [{"event": "x"}], "ref": "data.order.id"})
    assert after(("x", {"order": {"id": 5}}, NOW), known=deep)[0].ref == "5"
    assert after(("x", {"order": [1]}, NOW), known=deep)[0].ref == ""


LAPSES = {"a": 10 * DAY, "b": 3 * DAY}
TWO = kinds(
    {"kind": "a", "opens": [{"event": "x"}], "lapses": "10d"},
    {"kind": "b", "opens": [{"event": "y"}], "lapses": "3d"},
)
STEPS = st.lists(
    st.tuples(st.booleans(), st.sampled_from("ab"), st.integers(0, 5), st.integers(0, 60)), min_size=1, max_size=200
)


@dataclass
class Naive:
    """One interval of the model, which forgets nothing."""

    opened: int
    closed: int | None = None


def model_of(steps: list[tuple[bool, str, int, int]]) -> dict[tuple[str, str], list[Naive]]:
    model: dict[tuple[str, str], list[Naive]] = {}
    for opens, kind, ref, day in steps:
        own = model.setdefault((kind, str(ref)), [])
        last = own[-1] if own and own[-1].closed is None and day * DAY < own[-1].opened + LAPSES[kind] else None
        if opens and last is None:
            own.append(Naive(day * DAY))
        if not opens and last is not None:
            last.closed = day * DAY
    return model


def latest(ends: Iterable[tuple[int, int | None]], lapse: int, while_open: bool) -> int:
    """Up to where a history rule refuses, `within` left out: max(opened, end) of all."""
    silence = lapse if while_open else 0
    return max((max(begin, begin + silence if end is None else end) for begin, end in ends), default=-1)


@given(STEPS)
def test_intervals_decide_as_a_naive_model_that_forgets_nothing(
    steps: list[tuple[bool, str, int, int]],
) -> None:
    intervals: Intervals = ()
    for opens, kind, ref, day in steps:
        sign = (SituationRef(kind, str(ref)),)
        intervals = apply_transitions(
            intervals, SituationTransitions((), sign) if opens else SituationTransitions(sign, ()), day * DAY, TWO
        ).intervals
    model = model_of(steps)
    for kind, lapse in LAPSES.items():
        kept = [(item.opened, item.closed) for item in intervals if item.kind == kind]
        known = [(one.opened, one.closed) for (name, _), own in model.items() if name == kind for one in own]
        for while_open in (False, True):
            assert latest(kept, lapse, while_open) == latest(known, lapse, while_open)
    for name, own in model.items():
        last = [item for item in intervals if (item.kind, item.ref) == name][-1:]
        if last and own:
            assert (last[0].opened, last[0].closed) == (own[-1].opened, own[-1].closed)


def test_what_can_decide_nothing_any_more_is_dropped_once_there_are_many() -> None:
    steps = [
        step
        for n in range(MAX_UNCOMPACTED)
        for step in ((FILED, {"case": n}, NOW + n), (RESOLVED, {"case": n}, NOW + n))
    ]
    intervals = after(*steps, (FILED, {"case": "last"}, NOW))
    assert intervals == (
        Situation("complaint", str(MAX_UNCOMPACTED - 1), NOW + MAX_UNCOMPACTED - 1, NOW + MAX_UNCOMPACTED - 1),
        Situation("complaint", '"last"', NOW),
    )


def test_open_situations_are_never_dropped() -> None:
    steps = [(FILED, {"case": n}, NOW + n) for n in range(MAX_UNCOMPACTED * 2)]
    assert len(after(*steps)) == MAX_UNCOMPACTED * 2
