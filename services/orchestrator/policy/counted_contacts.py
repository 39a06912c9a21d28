"""Selects the ledger entries that count toward one candidate's caps, gaps and contact-history rules.

Every policy entry that counts contacts (a frequency cap, a minimum gap, a contact-history rule) has a slot: a small
number given when the policy is compiled. For each distinct message attribute value the policy has a bit mask of the
slots that count it, so sorting a ledger of any length into slots needs one mask per attribute value instead of one
scope comparison per contact and entry (`python -m tests.bench.judging`, row "64 contacts").
"""

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
    """A rule needs contacts from before the ledger's `complete_from`. The rule then fails closed."""


class CandidateView(msgspec.Struct, frozen=True, dict=True):
    """The candidate for which contacts are selected. In a recheck, planned contacts of others do not count."""

    triggered: TriggeredCampaign
    attributes: MessageAttributes
    is_recheck: bool

    @cached_attribute
    def raw_message_id(self) -> bytes:
        """The candidate's message id as bytes."""
        return message_id_bytes(self.triggered.message_id(self.attributes.channel))

    @cached_attribute
    def rank(self) -> Rank:
        """The candidate's place in the order of rank."""
        campaign, first_planned = self.triggered.campaign, self.triggered.first_planned_on(self.attributes.channel)
        return make_rank(campaign.cls, campaign.priority, first_planned, campaign.key, self.raw_message_id)


class CountedContacts(msgspec.Struct):
    """The contacts that count toward a candidate: their times, ascending, by slot."""

    ledger: Ledger
    view: CandidateView
    times_by_slot: dict[int, Sequence[Instant]]
    excluded: Sequence[int]
    """Indexes of contacts that do not count: outranked planned ones, the candidate's own, and its siblings.

    Siblings are the messages of the same event and campaign on other channels.
    """
    siblings: Sequence[int]
    """Indexes of siblings. They count toward caps that name channels, and otherwise only once one was made."""
    sibling_made_at: dict[int, Instant]
    """By slot: when the first sibling was made, for caps that exclude siblings."""
    claimed_at: Instant | None
    """In a recheck: the instant of the claim. Rules over contacts are evaluated for it."""

    @property
    def same_campaign_times(self) -> list[Instant]:
        """Times of contacts of the same campaign because of other events."""
        ledger, campaign = self.ledger, self.view.attributes.campaign
        own = [attributes.campaign == campaign for attributes in ledger.attribute_table]
        if True not in own:
            return []
        counted = zip(
            _without_indexes(ledger.times, self.excluded),
            _without_indexes(ledger.attribute_indexes, self.excluded),
            strict=True,
        )
        return [at for at, attributes_index in counted if own[attributes_index]]

    def evaluation_time(self, t: Instant) -> Instant:
        """The instant for which rules over contacts are evaluated when all others are evaluated for `t`."""
        return t if self.claimed_at is None else self.claimed_at

    def require_complete_since(self, back_to: Instant) -> None:
        """Raises Incomplete if the ledger may lack contacts at or after an instant."""
        if self.ledger.complete_from > back_to:
            raise Incomplete(f"the ledger is complete only from {self.ledger.complete_from}")


def count_contacts(
    ledger: Ledger,
    view: CandidateView,
    policy: CompiledPolicy,
    applicable: ApplicablePolicy,
    claimed_at: Instant | None,
) -> CountedContacts:
    """Sorts the ledger's contacts into the slots of the policy entries that apply to the candidate."""
    excluded, siblings = _excluded_indexes(ledger, view)
    slot_masks = [policy.slot_mask(attributes) for attributes in ledger.attribute_table]
    times = _times_by_slot(_without_indexes(ledger.times, excluded), ledger, excluded, slot_masks, applicable.slots)
    found = CountedContacts(ledger, view, times, excluded, siblings, {}, claimed_at)
    if siblings:
        _add_siblings(found, slot_masks, applicable)
    return found


def _excluded_indexes(ledger: Ledger, view: CandidateView) -> tuple[Sequence[int], Sequence[int]]:
    """Returns the indexes of contacts that do not count toward the candidate, and those of its siblings.

    A planned contact counts only if it outranks the candidate; in a recheck it never does.
    """
    flags, event = ledger.flags, view.triggered.event_hash
    lower_ranked: Sequence[int] = ()
    if PLANNED in flags:
        planned = [index for index, each in enumerate(flags) if each == PLANNED]
        lower_ranked = (
            planned if view.is_recheck else [index for index in planned if contact_rank(ledger, index) >= view.rank]
        )
    if event not in ledger.event_hashes:
        return lower_ranked, ()
    same_trigger = [
        index
        for index, each in enumerate(ledger.event_hashes)
        if each == event
        and ledger.attribute_table[ledger.attribute_indexes[index]].campaign == view.attributes.campaign
        and index not in lower_ranked
    ]
    siblings: Sequence[int] = ()
    if view.triggered.campaign.sends_on_all_channels:
        siblings = [index for index in same_trigger if ledger.row_at(index).id != view.raw_message_id]
    elif view.triggered.falls_back:  # what is planned is the choice that is about to be made anew
        rows = [(index, ledger.row_at(index)) for index in same_trigger]
        siblings = [index for index, row in rows if row.flags != PLANNED and row.id != view.raw_message_id]
    return sorted([*lower_ranked, *same_trigger]), siblings


def _without_indexes(column: Sequence[int], excluded: Sequence[int]) -> Sequence[int]:
    """Returns a ledger column without the given indexes, which are ascending."""
    if not excluded:
        return column
    kept = list(column)
    for index in reversed(excluded):
        del kept[index]
    return kept


def _times_by_slot(
    times: Sequence[Instant], ledger: Ledger, excluded: Sequence[int], slot_masks: Sequence[int], slots: Iterable[int]
) -> dict[int, Sequence[Instant]]:
    """Returns the times that count in each slot.

    Slots that count the same attribute values share one list: a typical policy has many entries and few distinct
    scopes, so most slots cost a dictionary look-up instead of a pass over the contacts: 5 us instead of 28 us for ten
    slots and 64 contacts (`tests.bench.shortcuts`).
    """
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
                        [counts[index] for index in _without_indexes(ledger.attribute_indexes, excluded)],
                    )
                )
            found[slot] = shared[counts]
    return found


def _add_siblings(contacts: CountedContacts, slot_masks: Sequence[int], applicable: ApplicablePolicy) -> None:
    """Adds the siblings to the slots that count them, and notes when the first of them was made."""
    for row in map(contacts.ledger.row_at, contacts.siblings):
        for slot in applicable.slots:
            if not slot_masks[row.attributes_index] >> slot & 1:
                continue
            if slot in applicable.sibling_slots:
                contacts.times_by_slot[slot] = sorted([*contacts.times_by_slot[slot], row.at])
            if row.flags != PLANNED:
                contacts.sibling_made_at[slot] = min(row.at, contacts.sibling_made_at.get(slot, row.at))
