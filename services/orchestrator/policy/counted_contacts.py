"""The contacts that count against one candidate: a ledger, seen with the candidate's eyes."""

from collections.abc import Iterable, Sequence
from itertools import compress

import msgspec

from schemas.times import Instant
from services.orchestrator.policy.cached_attribute import cached_attribute
from services.orchestrator.policy.compiled_policy import ApplicablePolicy, CompiledPolicy
from services.orchestrator.policy.ledger import PLANNED, Ledger, message_id_bytes
from services.orchestrator.policy.match import TriggeredCampaign
from services.orchestrator.policy.rank import Rank, contact_rank, make_rank
from services.orchestrator.policy.scope import MessageAttributes


class Incomplete(LookupError):
    """A rule looks further back than the ledger reaches: it fails closed."""


class CandidateView(msgspec.Struct, frozen=True, dict=True):
    """Whose eyes: a candidate's touch and kind. At the gate nothing merely planned counts."""

    triggered: TriggeredCampaign
    attributes: MessageAttributes
    is_recheck: bool

    @cached_attribute
    def raw_message_id(self) -> bytes:
        """The candidate's message."""
        return message_id_bytes(self.triggered.message_id(self.attributes.channel))

    @cached_attribute
    def rank(self) -> Rank:
        """The candidate's rank."""
        campaign, first_planned = self.triggered.campaign, self.triggered.first_planned_on(self.attributes.channel)
        return make_rank(campaign.cls, campaign.priority, first_planned, campaign.key, self.raw_message_id)


class CountedContacts(msgspec.Struct):
    """Counted times, ascending, by the slot of the entry that counts them."""

    ledger: Ledger
    view: CandidateView
    times_by_slot: dict[int, Sequence[Instant]]
    excluded: Sequence[int]
    """Places on the ledger that do not count like others: lower planned ones, the candidate's own, its siblings."""
    siblings: Sequence[int]
    """Places of those siblings that count in their way."""
    sibling_made_at: dict[int, Instant]
    """By slot: when the first sibling was made that a one-touch cap leaves out."""
    claimed_at: Instant | None
    """At the gate: the time of the mark, for which rules over contacts are judged."""

    @property
    def same_campaign_times(self) -> list[Instant]:
        """Contacts of the candidate's campaign from other events."""
        ledger, campaign = self.ledger, self.view.attributes.campaign
        own = [attributes.campaign == campaign for attributes in ledger.attribute_table]
        if True not in own:
            return []
        counted = zip(
            _without_indexes(ledger.times, self.excluded),
            _without_indexes(ledger.attribute_indexes, self.excluded),
            strict=True,
        )
        return [at for at, attributes in counted if own[attributes]]

    def evaluation_time(self, t: Instant) -> Instant:
        """The instant for which rules over contacts are judged when all others are judged for `t`."""
        return t if self.claimed_at is None else self.claimed_at

    def require_complete_since(self, back_to: Instant) -> None:
        """Raises Incomplete when the ledger may have forgotten contacts at or after an instant."""
        if self.ledger.complete_from > back_to:
            raise Incomplete(f"the ledger is complete from {self.ledger.complete_from} only")


def count_contacts(
    ledger: Ledger,
    view: CandidateView,
    policy: CompiledPolicy,
    applicable: ApplicablePolicy,
    claimed_at: Instant | None,
) -> CountedContacts:
    """Sorts the ledger's contacts into the slots of the entries that concern the candidate.

    Siblings count like others in caps that name channels; elsewhere it matters only when one was made.
    """
    excluded, siblings = _excluded_indexes(ledger, view)
    slot_masks = [policy.slot_mask(attributes) for attributes in ledger.attribute_table]
    times = _times_by_slot(_without_indexes(ledger.times, excluded), ledger, excluded, slot_masks, applicable.slots)
    found = CountedContacts(ledger, view, times, excluded, siblings, {}, claimed_at)
    if siblings:
        _add_siblings(found, slot_masks, applicable)
    return found


def _excluded_indexes(ledger: Ledger, view: CandidateView) -> tuple[Sequence[int], Sequence[int]]:
    """Which places do not count against the candidate like others, and of its siblings those that do in their way.

    Not its own, nor its choice's. A planned one counts only if it outranks the candidate, and at the gate never.
    """
    flags, event = ledger.flags, view.triggered.event_hash
    lower: Sequence[int] = ()
    if PLANNED in flags:
        planned = [index for index, each in enumerate(flags) if each == PLANNED]
        lower = planned if view.is_recheck else [index for index in planned if contact_rank(ledger, index) >= view.rank]
    if event not in ledger.event_hashes:
        return lower, ()
    touch = [
        index
        for index, each in enumerate(ledger.event_hashes)
        if each == event
        and ledger.attribute_table[ledger.attribute_indexes[index]].campaign == view.attributes.campaign
        and index not in lower
    ]
    siblings = (
        [index for index in touch if ledger.row_at(index).id != view.raw_message_id]
        if view.triggered.campaign.sends_on_all_channels
        else ()
    )
    return sorted([*lower, *touch]), siblings


def _without_indexes(column: Sequence[int], excluded: Sequence[int]) -> Sequence[int]:
    """A column of the ledger without these places, which are ascending."""
    if not excluded:
        return column
    kept = list(column)
    for index in reversed(excluded):
        del kept[index]
    return kept


def _times_by_slot(
    times: Sequence[Instant], ledger: Ledger, excluded: Sequence[int], slot_masks: Sequence[int], slots: Iterable[int]
) -> dict[int, Sequence[Instant]]:
    """What counts in each slot. Slots that count all kinds, none, or the same ones share what they count."""
    slots_of_all, slots_of_any = -1, 0
    for each in slot_masks:
        slots_of_all &= each
        slots_of_any |= each
    shared: dict[tuple[int, ...], Sequence[Instant]] = {}
    found: dict[int, Sequence[Instant]] = {}
    for slot in slots:
        if slots_of_all >> slot & 1:
            found[slot] = times
        elif not slots_of_any >> slot & 1:
            found[slot] = ()
        else:
            counts = tuple([each >> slot & 1 for each in slot_masks])
            if counts not in shared:
                shared[counts] = list(
                    compress(
                        times,
                        [counts[attributes] for attributes in _without_indexes(ledger.attribute_indexes, excluded)],
                    )
                )
            found[slot] = shared[counts]
    return found


def _add_siblings(contacts: CountedContacts, slot_masks: Sequence[int], applicable: ApplicablePolicy) -> None:
    """Takes in the siblings."""
    for row in map(contacts.ledger.row_at, contacts.siblings):
        for slot in applicable.slots:
            if not slot_masks[row.attributes_index] >> slot & 1:
                continue
            if slot in applicable.sibling_slots:
                contacts.times_by_slot[slot] = sorted([*contacts.times_by_slot[slot], row.at])
            if row.flags != PLANNED:
                contacts.sibling_made_at[slot] = min(row.at, contacts.sibling_made_at.get(slot, row.at))
