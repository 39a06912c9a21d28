"""Which decisions were taken together: a judging, as the order of decisions tells it. Pure.

A fresh event is judged once, with all the campaigns that it triggers. A message that waited, or that the gate stopped,
is judged again alone, or with the other channels of its choice.
"""

from collections.abc import Sequence
from typing import NamedTuple

from schemas.times import Instant


class Line(NamedTuple):
    """A decision, as far as it tells which judging it belongs to."""

    decision_id: int
    time: Instant
    message_id: str
    campaign: str
    event_source: str
    event_id: str


class Judging(NamedTuple):
    """Decisions taken together. `fresh`: the first about their messages.

    `unborn`: messages that nothing had been decided about yet; `pending`: those decided about at the same time, but
    after this judging.
    """

    ids: tuple[int, ...]
    messages: frozenset[str]
    fresh: bool
    unborn: frozenset[str]
    pending: frozenset[str]


def judging_of(lines: Sequence[Line], decision_id: int, together: bool) -> Judging:
    """The judging that a decision belongs to, among all of its customer in order. `together`: each channel is apart."""
    first: dict[str, int] = {}
    for line in lines:
        first.setdefault(line.message_id, line.decision_id)
    own = next(line for line in lines if line.decision_id == decision_id)
    fresh = first[own.message_id] == own.decision_id
    alike = [
        line
        for line in lines
        if (line.time, line.event_source, line.event_id) == (own.time, own.event_source, own.event_id)
        and (first[line.message_id] == line.decision_id) == fresh
        and (fresh or line.campaign == own.campaign)
    ]
    group = alike if fresh else [own] if together else _run(alike, own)
    last, messages = group[-1].decision_id, frozenset(line.message_id for line in group)
    return Judging(
        ids=tuple(line.decision_id for line in group),
        messages=messages,
        fresh=fresh,
        unborn=frozenset(message for message, id in first.items() if id > last),
        pending=frozenset(line.message_id for line in lines if line.time == own.time and line.decision_id > last),
    )


def _run(lines: Sequence[Line], own: Line) -> list[Line]:
    """The part that holds `own` when the lines are cut wherever a message comes up once more."""
    run: list[Line] = []
    for line in lines:
        if any(line.message_id == other.message_id for other in run):
            if own in run:
                break
            run = []
        run.append(line)
    return run
