"""The contacts that count against one candidate: a ledger, seen with the candidate's eyes."""

from dataclasses import dataclass
from typing import NamedTuple

from schemas.times import Instant
from services.orchestrator.deciding.ledger import AT, EVENT, FLAGS, ID, KIND, PLANNED, Ledger, Row
from services.orchestrator.deciding.policy import Concern, Policy
from services.orchestrator.deciding.rank import Rank, rank_of
from services.orchestrator.deciding.scope import Kind


class Incomplete(LookupError):
    """A rule looks further back than the ledger reaches: it fails closed."""


class Viewpoint(NamedTuple):
    """Whose eyes: a candidate's kind, rank and event. At the gate nothing merely planned counts."""

    kind: Kind
    rank: Rank
    event: int
    together: bool
    at_gate: bool


@dataclass(slots=True)
class Contacts:
    """Counted times, ascending, by the slot of the entry that counts them."""

    ledger: Ledger
    of: Viewpoint
    times: dict[int, list[Instant]]
    others: list[Instant]
    """Contacts of the candidate's campaign from other events."""
    made: dict[int, Instant]
    """By slot: when the first sibling was made that a one-touch cap leaves out."""
    marked_at: Instant | None
    """At the gate: the time of the mark, for which rules over contacts are judged."""

    def time(self, t: Instant) -> Instant:
        """The instant for which rules over contacts are judged when all others are judged for `t`."""
        return t if self.marked_at is None else self.marked_at

    def reaches(self, back_to: Instant) -> None:
        """Raises Incomplete when the ledger may have forgotten contacts at or after an instant."""
        if self.ledger.complete_from > back_to:
            raise Incomplete(f"the ledger is complete from {self.ledger.complete_from} only")


def counted(ledger: Ledger, of: Viewpoint) -> tuple[list[Row], list[Row]]:
    """The rows that count against a candidate, and of its siblings those that do; both ascending.

    Not its own, nor its choice's. A planned one counts only if it outranks the candidate, and at the gate never.
    """
    event, flags = of.event, FLAGS
    rows = [row for row in ledger.rows if row[flags] or (not of.at_gate and rank_of(ledger, row) < of.rank)]
    if event not in [row[EVENT] for row in rows]:
        return rows, []
    own, campaign = of.rank[4], of.kind.campaign
    touch = [row for row in rows if row[EVENT] == event and ledger.kinds[row[KIND]].campaign == campaign]
    siblings = [row for row in touch if row[ID] != own] if of.together else []
    return [row for row in rows if row not in touch], siblings


def contacts(ledger: Ledger, of: Viewpoint, policy: Policy, concern: Concern, marked_at: Instant | None) -> Contacts:
    """Sorts the ledger's contacts into the slots of the entries that concern the candidate.

    Slots that count the same kinds alike share one list. Siblings count like others in caps that name channels;
    elsewhere it matters only when one was made.
    """
    masks, same_campaign = _masks(ledger, of.kind.campaign, policy, concern)
    rows, siblings = counted(ledger, of)
    everything = (1 << len(ledger.kinds)) - 1
    shared: dict[tuple[int, bool], list[Instant]] = {}
    times: dict[int, list[Instant]] = {}
    made: dict[int, Instant] = {}
    for slot, mask in masks.items():
        touchy = bool(siblings) and slot in concern.touchy
        found = shared.get((mask, touchy))
        if found is None:
            found = shared[mask, touchy] = _times(rows, mask, everything)
            if touchy:
                found += _times(siblings, mask, everything)
                found.sort()
        times[slot] = found
    for row in siblings:
        if row[FLAGS] != PLANNED:
            for slot in policy.slots(ledger.kinds[row[KIND]]):
                made[slot] = min(row[AT], made.get(slot, row[AT]))
    return Contacts(ledger, of, times, _times(rows, same_campaign, everything), made, marked_at)


def _masks(ledger: Ledger, campaign: str, policy: Policy, concern: Concern) -> tuple[dict[int, int], int]:
    """For each slot, and for the candidate's own campaign, which of the ledger's kinds count: a bit for each."""
    masks, same_campaign = dict.fromkeys(concern.slots, 0), 0
    for place, kind in enumerate(ledger.kinds):
        bit = 1 << place
        for slot in policy.slots(kind):
            if slot in masks:
                masks[slot] |= bit
        if kind.campaign == campaign:
            same_campaign |= bit
    return masks, same_campaign


def _times(rows: list[Row], mask: int, everything: int) -> list[Instant]:
    if mask == everything:
        return [row[AT] for row in rows]
    return [row[AT] for row in rows if mask >> row[KIND] & 1] if mask else []
