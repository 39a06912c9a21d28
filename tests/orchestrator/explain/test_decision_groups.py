"""Which decisions were taken together."""

from services.orchestrator.explain.decision_groups import DecisionKey, find_decision_group


def line(id: int, message: str, *, time: int = 1, campaign: str = "a", event: str = "e-1") -> DecisionKey:
    return DecisionKey(id, time, message, campaign, "/shop", event)


def test_a_fresh_event_is_judged_with_all_its_campaigns() -> None:
    lines = [line(1, "m1"), line(2, "m2", campaign="b"), line(3, "m3", event="e-2"), line(4, "m1", time=9)]
    found = find_decision_group(lines, 2, False)
    assert (found.decision_ids, found.is_first) == ((1, 2), True)
    assert (found.not_yet_decided, found.decided_later) == (frozenset({"m3"}), frozenset({"m3"}))


def test_a_message_that_waited_is_judged_with_the_channels_of_its_choice() -> None:
    lines = [line(1, "m1"), line(2, "m2"), line(3, "x", campaign="b"), line(4, "m1", time=9), line(5, "m2", time=9)]
    found = find_decision_group([*lines, line(6, "x", time=9, campaign="b")], 5, False)
    assert (found.decision_ids, found.is_first) == ((4, 5), False)
    assert (found.message_ids, found.decided_later) == (frozenset({"m1", "m2"}), frozenset({"x"}))
    assert find_decision_group(lines, 5, True).decision_ids == (5,)


def test_what_the_gate_stopped_at_the_same_instant_was_judged_twice() -> None:
    lines = [line(1, "m1"), line(2, "m2"), line(3, "m1"), line(4, "m2"), line(5, "m1"), line(6, "m2")]
    assert [find_decision_group(lines, id, False).decision_ids for id in range(1, 7)] == [(1, 2)] * 2 + [(3, 4)] * 2 + [
        (5, 6)
    ] * 2
