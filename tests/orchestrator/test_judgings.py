"""Which decisions were taken together."""

from services.orchestrator.explain.decision_groups import Line, judging_of


def line(id: int, message: str, *, time: int = 1, campaign: str = "a", event: str = "e-1") -> Line:
    return Line(id, time, message, campaign, "/shop", event)


def test_a_fresh_event_is_judged_with_all_its_campaigns() -> None:
    lines = [line(1, "m1"), line(2, "m2", campaign="b"), line(3, "m3", event="e-2"), line(4, "m1", time=9)]
    found = judging_of(lines, 2, False)
    assert (found.ids, found.fresh) == ((1, 2), True)
    assert (found.unborn, found.pending) == (frozenset({"m3"}), frozenset({"m3"}))


def test_a_message_that_waited_is_judged_with_the_channels_of_its_choice() -> None:
    lines = [line(1, "m1"), line(2, "m2"), line(3, "x", campaign="b"), line(4, "m1", time=9), line(5, "m2", time=9)]
    found = judging_of([*lines, line(6, "x", time=9, campaign="b")], 5, False)
    assert (found.ids, found.fresh) == ((4, 5), False)
    assert (found.messages, found.pending) == (frozenset({"m1", "m2"}), frozenset({"x"}))
    assert judging_of(lines, 5, True).ids == (5,)


def test_what_the_gate_stopped_at_the_same_instant_was_judged_twice() -> None:
    lines = [line(1, "m1"), line(2, "m2"), line(3, "m1"), line(4, "m2"), line(5, "m1"), line(6, "m2")]
    assert [judging_of(lines, id, False).ids for id in range(1, 7)] == [(1, 2)] * 2 + [(3, 4)] * 2 + [(5, 6)] * 2
