"""Compares two runs over the same events.

`here` is the run in question, `against` the one it is compared with. A send is identified by its message id: one only
in `here` is gained, one only in `against` is lost, one in both at different instants is moved. Both files are read
twice; memory grows with the differences and with the customers who are sent something.
"""

import heapq
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

import msgspec

from schemas.times import HOUR, Instant, parse_instant
from schemas.vocabulary import Outcome
from services.orchestrator.policy.time_zones import Zone

Side = Literal[0, 1]
HERE: Side = 0
AGAINST: Side = 1
OTHER_SIDE: tuple[Side, Side] = (AGAINST, HERE)
NOT_TRIGGERED = "not_triggered"
"""The reason for a message whose campaign was not triggered in a run."""
MAX_CUSTOMERS = 20
MAX_MESSAGES = 3


class DecisionLine(msgspec.Struct, frozen=True):
    """The fields of a decision line that a comparison reads."""

    time: str
    message_id: str
    customer: str
    campaign: str
    channel: str
    outcome: str
    reason: str


class SentMessage(NamedTuple):
    """A send without a counterpart in the other run so far. `hour`: hour of the day in the policy's zone."""

    at: Instant
    customer: str
    campaign: str
    channel: str
    hour: str


_LINE_DECODER = msgspec.json.Decoder(DecisionLine)


@dataclass(slots=True)
class SendCounts:
    """Counts by one attribute: sends of either run (for reasons: decisions), and sends gained and lost."""

    counts: tuple[Counter[str], Counter[str]] = field(default_factory=lambda: (Counter(), Counter()))
    exclusive: tuple[Counter[str], Counter[str]] = field(default_factory=lambda: (Counter(), Counter()))

    def rows(self, name: str) -> list[dict[str, Any]]:
        """Returns one row per value, sorted by name."""
        values = sorted({key for counter in (*self.counts, *self.exclusive) for key in counter})
        return [
            {
                name: key,
                "here": self.counts[HERE][key],
                "against": self.counts[AGAINST][key],
                "gained": self.exclusive[HERE][key],
                "lost": self.exclusive[AGAINST][key],
            }
            for key in values
        ]


class Comparison:
    """Compares two files of decision lines as a simulation writes them."""

    def __init__(self, here: Path, against: Path, zone: Zone) -> None:
        self._paths = (here, against)
        self._zone = zone
        self._campaigns, self._channels, self._reasons, self._hours = (
            SendCounts(),
            SendCounts(),
            SendCounts(),
            SendCounts(),
        )
        self._outcomes: tuple[Counter[str], Counter[str]] = (Counter(), Counter())
        self._customers: tuple[Counter[str], Counter[str]] = (Counter(), Counter())
        self._unmatched: tuple[dict[str, SentMessage], dict[str, SentMessage]] = ({}, {})
        self._sampled_sends: dict[str, list[tuple[Instant, str]]] = {}
        self._moved = 0

    def to_document(self) -> dict[str, Any]:
        """Returns the difference as a JSON object (docs/simulate.md)."""
        self._pair_sends()
        extra_sends = self._extra_sends()
        gaining, losing = _largest_changes(extra_sends, 1), _largest_changes(extra_sends, -1)
        lines = self._read_sample_lines(self._sample_message_ids({*gaining, *losing}))
        return {
            "zone": self._zone.name,
            "decisions": _by_side([counts.total() for counts in self._outcomes]),
            "outcomes": _by_side([dict(sorted(counts.items())) for counts in self._outcomes]),
            "sends": {
                **_by_side([counts[Outcome.SEND] for counts in self._outcomes]),
                "gained": len(self._unmatched[HERE]),
                "lost": len(self._unmatched[AGAINST]),
                "moved": self._moved,
            },
            "by_campaign": self._campaigns.rows("campaign"),
            "by_channel": self._channels.rows("channel"),
            "by_reason": self._reasons.rows("reason"),
            "by_hour": self._hours.rows("hour"),
            "customers": {
                "reached": _by_side([len(customers) for customers in self._customers]),
                "gained": {
                    "count": sum(1 for change in extra_sends.values() if change > 0),
                    "most": [self._customer_row(name, lines) for name in gaining],
                },
                "lost": {
                    "count": sum(1 for change in extra_sends.values() if change < 0),
                    "most": [self._customer_row(name, lines) for name in losing],
                },
            },
        }

    def _pair_sends(self) -> None:
        """Pairs the sends of both runs in order of time; those without a partner remain in `_unmatched`."""
        for _, message_id, side, sent in heapq.merge(self._sends(HERE), self._sends(AGAINST)):
            other = self._unmatched[OTHER_SIDE[side]].pop(message_id, None)
            if other is None:
                self._unmatched[side][message_id] = sent
            elif other.at != sent.at:
                self._moved += 1
                if other.hour != sent.hour:
                    self._hours.exclusive[side][sent.hour] += 1
                    self._hours.exclusive[OTHER_SIDE[side]][other.hour] += 1
        for side in (HERE, AGAINST):
            for sent in self._unmatched[side].values():
                self._campaigns.exclusive[side][sent.campaign] += 1
                self._channels.exclusive[side][sent.channel] += 1
                self._hours.exclusive[side][sent.hour] += 1

    def _sends(self, side: Side) -> Iterator[tuple[Instant, str, Side, SentMessage]]:
        interned: dict[str, str] = {}
        for line, _ in _read_decision_lines(self._paths[side]):
            self._outcomes[side][line.outcome] += 1
            self._reasons.counts[side][line.reason] += 1
            if line.outcome != Outcome.SEND:
                continue
            at = parse_instant(line.time)
            customer, campaign, channel, hour = (
                interned.setdefault(text, text)
                for text in (line.customer, line.campaign, line.channel, f"{self._zone.wall_time(at) // HOUR % 24:02}")
            )
            self._campaigns.counts[side][campaign] += 1
            self._channels.counts[side][channel] += 1
            self._hours.counts[side][hour] += 1
            self._customers[side][customer] += 1
            yield at, line.message_id, side, SentMessage(at, customer, campaign, channel, hour)

    def _extra_sends(self) -> dict[str, int]:
        """Returns how many more messages each customer is sent here; customers with equal numbers are left out."""
        customers = {*self._customers[HERE], *self._customers[AGAINST]}
        change = {name: self._customers[HERE][name] - self._customers[AGAINST][name] for name in customers}
        return {name: extra_sends for name, extra_sends in change.items() if extra_sends}

    def _sample_message_ids(self, customers: set[str]) -> set[str]:
        """Returns the first few messages of each of these customers that only one run sends."""
        for side in (HERE, AGAINST):
            for message_id, sent in self._unmatched[side].items():
                if sent.customer in customers:
                    self._sampled_sends.setdefault(sent.customer, []).append((sent.at, message_id))
        for name, found in self._sampled_sends.items():
            self._sampled_sends[name] = sorted(found)[:MAX_MESSAGES]
        return {message_id for found in self._sampled_sends.values() for _, message_id in found}

    def _read_sample_lines(self, samples: set[str]) -> tuple[dict[str, Any], dict[str, Any]]:
        """Reads the last line about each sample in either run, and counts why a run did not send what the other did.

        A message without a line in a run counts as `not_triggered`.
        """
        lines: tuple[dict[str, Any], dict[str, Any]] = ({}, {})
        for side in (HERE, AGAINST):
            missing = self._unmatched[OTHER_SIDE[side]]
            reasons = dict.fromkeys(missing, NOT_TRIGGERED)
            for line, raw in _read_decision_lines(self._paths[side]):
                if line.message_id in missing:
                    reasons[line.message_id] = sys.intern(line.reason)
                if line.message_id in samples:
                    lines[side][line.message_id] = msgspec.json.decode(raw)
            self._reasons.exclusive[OTHER_SIDE[side]].update(reasons.values())
        return lines

    def _customer_row(self, name: str, lines: tuple[dict[str, Any], dict[str, Any]]) -> dict[str, Any]:
        messages = [
            {"message_id": message_id, **_by_side([found.get(message_id) for found in lines])}
            for _, message_id in self._sampled_sends[name]
        ]
        return {"customer": name, **_by_side([counts[name] for counts in self._customers]), "messages": messages}


def _largest_changes(extra_sends: Mapping[str, int], sign: int) -> list[str]:
    """Returns the customers with the largest change of this sign, largest first, ties by name."""
    changes = [(-sign * change, name) for name, change in extra_sends.items() if change * sign > 0]
    return [name for _, name in heapq.nsmallest(MAX_CUSTOMERS, changes)]


def _by_side(values: Sequence[Any]) -> dict[str, Any]:
    return {"here": values[HERE], "against": values[AGAINST]}


def _read_decision_lines(path: Path) -> Iterator[tuple[DecisionLine, bytes]]:
    with path.open("rb") as file:
        for raw in file:
            yield _LINE_DECODER.decode(raw), raw
