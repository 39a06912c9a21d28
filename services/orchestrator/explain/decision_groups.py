"""Finds the decisions that were made in one evaluation, from their order. Pure.

A fresh event is evaluated once, with all the campaigns that it triggers. A message that waited, or that a recheck took
back, is evaluated again alone, or together with the other channels among which its campaign chooses.
"""

from collections.abc import Sequence
from typing import NamedTuple

from schemas.times import Instant


class DecisionKey(NamedTuple):
    """The parts of a decision that show to which evaluation it belongs."""

    decision_id: int
    time: Instant
    message_id: str
    campaign: str
    event_source: str
    event_id: str


class DecisionGroup(NamedTuple):
    """Decisions of one evaluation. `is_first`: they are the first decisions about their messages.

    `not_yet_decided`: messages without any decision before this evaluation's end. `decided_later`: messages that have
    a decision of the same instant after it.
    """

    decision_ids: tuple[int, ...]
    message_ids: frozenset[str]
    is_first: bool
    not_yet_decided: frozenset[str]
    decided_later: frozenset[str]


def find_decision_group(
    decisions: Sequence[DecisionKey], decision_id: int, sends_on_all_channels: bool
) -> DecisionGroup:
    """The evaluation that a decision belongs to, among all decisions about its customer, in order.

    `sends_on_all_channels`: the campaign sends on each channel apart from the others.
    """
    first_decision_ids: dict[str, int] = {}
    for decision in decisions:
        first_decision_ids.setdefault(decision.message_id, decision.decision_id)
    target = next(decision for decision in decisions if decision.decision_id == decision_id)
    is_first = first_decision_ids[target.message_id] == target.decision_id
    same_event = [
        decision
        for decision in decisions
        if (decision.time, decision.event_source, decision.event_id)
        == (target.time, target.event_source, target.event_id)
        and (first_decision_ids[decision.message_id] == decision.decision_id) == is_first
        and (is_first or decision.campaign == target.campaign)
    ]
    group = same_event if is_first else [target] if sends_on_all_channels else _segment_around(same_event, target)
    last, message_ids = group[-1].decision_id, frozenset(decision.message_id for decision in group)
    return DecisionGroup(
        decision_ids=tuple(decision.decision_id for decision in group),
        message_ids=message_ids,
        is_first=is_first,
        not_yet_decided=frozenset(message for message, id in first_decision_ids.items() if id > last),
        decided_later=frozenset(
            decision.message_id
            for decision in decisions
            if decision.time == target.time and decision.decision_id > last
        ),
    )


def _segment_around(decisions: Sequence[DecisionKey], target: DecisionKey) -> list[DecisionKey]:
    """The segment with `target`, when the decisions are cut wherever a message occurs again."""
    segment: list[DecisionKey] = []
    for decision in decisions:
        if any(decision.message_id == other.message_id for other in segment):
            if target in segment:
                break
            segment = []
        segment.append(decision)
    return segment
