"""The contacts that count against one candidate: a ledger, seen with the candidate's eyes."""

from collections.abc import Iterable, Sequence
from itertools import compress

import msgspec

from schemas.times import Instant
from services.orchestrator.policy.cached_attribute import lazy
from services.orchestrator.policy.compiled_policy import Concern, Policy
from services.orchestrator.policy.ledger import PLANNED, Ledger, raw_id
from services.orchestrator.policy.match import Touch
from services.orchestrator.policy.rank import Rank, rank, rank_of
from services.orchestrator.policy.scope import Kind


class Incomplete(LookupError):
    """A rule looks further back than the ledger reaches: it fails closed."""


class Viewpoint(msgspec.Struct, frozen=True, dict=True):
    """Whose eyes: a candidate's touch and kind. At the gate nothing merely planned counts."""

    touch: Touch
    kind: Kind
    at_gate: bool

    @lazy
    def id(self) -> bytes:
        """The candidate's message."""
        return raw_id(self.touch.message_id(self.kind.channel))

    @lazy
    def rank(self) -> Rank:
        """The candidate's rank."""
        campaign, since = self.touch.campaign, self.touch.first_planned(self.kind.channel)
        return rank(campaign.cls, campaign.priority, since, campaign.key, self.id)


class Contacts(msgspec.Struct):
    """Counted times, ascending, by the slot of the entry that counts them."""

    ledger: Ledger
    of: Viewpoint
    times: dict[int, Sequence[Instant]]
    out: Sequence[int]
    """Places on the ledger that do not count like others: lower planned ones, the candidate's own, its siblings."""
    siblings: Sequence[int]
    """Places of those siblings that count in their way."""
    made: dict[int, Instant]
    """By slot: when the first sibling was made that a one-touch cap leaves out."""
    marked_at: Instant | None
    """At the gate: the time of the mark, for which rules over contacts are judged."""

    @property
    def others(self) -> list[Instant]:
        """Contacts of the candidate's campaign from other events."""
        ledger, campaign = self.ledger, self.of.kind.campaign
        own = [kind.campaign == campaign for kind in ledger.kinds]
        if True not in own:
            return []
        counted = zip(_kept(ledger.times, self.out), _kept(ledger.kinds_of, self.out), strict=True)
        return [at for at, kind in counted if own[kind]]

    def time(self, t: Instant) -> Instant:
        """The instant for which rules over contacts are judged when all others are judged for `t`."""
        return t if self.marked_at is None else self.marked_at

    def reaches(self, back_to: Instant) -> None:
        """Raises Incomplete when the ledger may have forgotten contacts at or after an instant."""
        if self.ledger.complete_from > back_to:
            raise Incomplete(f"the ledger is complete from {self.ledger.complete_from} only")


def contacts(ledger: Ledger, of: Viewpoint, policy: Policy, concern: Concern, marked_at: Instant | None) -> Contacts:
    """Sorts the ledger's contacts into the slots of the entries that concern the candidate.

    Siblings count like others in caps that name channels; elsewhere it matters only when one was made.
    """
    out, siblings = _left_out(ledger, of)
    slots_of = [policy.slots(kind) for kind in ledger.kinds]
    times = _by_slot(_kept(ledger.times, out), ledger, out, slots_of, concern.slots)
    found = Contacts(ledger, of, times, out, siblings, {}, marked_at)
    if siblings:
        _add(found, slots_of, concern)
    return found


def _left_out(ledger: Ledger, of: Viewpoint) -> tuple[Sequence[int], Sequence[int]]:
    """Which places do not count against the candidate like others, and of its siblings those that do in their way.

    Not its own, nor its choice's. A planned one counts only if it outranks the candidate, and at the gate never.
    """
    flags, event = ledger.flags, of.touch.event_hash
    lower: Sequence[int] = ()
    if PLANNED in flags:
        planned = [place for place, each in enumerate(flags) if each == PLANNED]
        lower = planned if of.at_gate else [place for place in planned if rank_of(ledger, place) >= of.rank]
    if event not in ledger.events:
        return lower, ()
    touch = [
        place
        for place, each in enumerate(ledger.events)
        if each == event and ledger.kinds[ledger.kinds_of[place]].campaign == of.kind.campaign and place not in lower
    ]
    siblings = [place for place in touch if ledger.row(place).id != of.id] if of.touch.campaign.together else ()
    return sorted([*lower, *touch]), siblings


def _kept(column: Sequence[int], out: Sequence[int]) -> Sequence[int]:
    """A column of the ledger without these places, which are ascending."""
    if not out:
        return column
    kept = list(column)
    for place in reversed(out):
        del kept[place]
    return kept


def _by_slot(
    times: Sequence[Instant], ledger: Ledger, out: Sequence[int], slots_of: Sequence[int], slots: Iterable[int]
) -> dict[int, Sequence[Instant]]:
    """What counts in each slot. Slots that count all kinds, none, or the same ones share what they count."""
    in_every, in_some = -1, 0
    for each in slots_of:
        in_every &= each
        in_some |= each
    shared: dict[tuple[int, ...], Sequence[Instant]] = {}
    found: dict[int, Sequence[Instant]] = {}
    for slot in slots:
        if in_every >> slot & 1:
            found[slot] = times
        elif not in_some >> slot & 1:
            found[slot] = ()
        else:
            counts = tuple([each >> slot & 1 for each in slots_of])
            if counts not in shared:
                shared[counts] = list(compress(times, [counts[kind] for kind in _kept(ledger.kinds_of, out)]))
            found[slot] = shared[counts]
    return found


def _add(contacts: Contacts, slots_of: Sequence[int], concern: Concern) -> None:
    """Takes in the siblings."""
    for row in map(contacts.ledger.row, contacts.siblings):
        for slot in concern.slots:
            if not slots_of[row.kind] >> slot & 1:
                continue
            if slot in concern.touchy:
                contacts.times[slot] = sorted([*contacts.times[slot], row.at])
            if row.flags != PLANNED:
                contacts.made[slot] = min(row.at, contacts.made.get(slot, row.at))
