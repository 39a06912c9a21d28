"""Which decisions were taken together: a judging, as the order of decisions tells it. Pure.

A fresh event is judged once, with all the campaigns that it triggers. A message that waited, or that the gate stopped,
is judged again alone, or with the other channels of its choice.
"""

from collections.abc import Sequence
from typing import NamedTuple

from schemas.times import Instant


class DecisionKey(NamedTuple):
    """A decision, as far as it tells which judging it belongs to."""

    decision_id: int
    time: Instant
    message_id: str
    campaign: str
    event_source: str
    event_id: str


class DecisionGroup(NamedTuple):
    """Decisions taken together. `fresh`: the first about their messages.

    `unborn`: messages that nothing had been decided about yet; `pending`: those decided about at the same time, but
    after this judging.
    """

    decision_ids: tuple[int, ...]
    message_ids: frozenset[str]
    is_first: bool
    not_yet_decided: frozenset[str]
    decided_later: frozenset[str]


def find_decision_group(
    decisions: Sequence[DecisionKey], decision_id: int, sends_on_all_channels: bool
) -> DecisionGroup:
    """The judging that a decision belongs to, among all of its customer in order. `together`: each channel is apart."""
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
    """The part that holds `own` when the lines are cut wherever a message comes up once more."""
    segment: list[DecisionKey] = []
    for decision in decisions:
        if any(decision.message_id == other.message_id for other in segment):
            if target in segment:
                break
            segment = []
        segment.append(decision)
    return segment
