"""Frequency cap arithmetic: when a cap next allows a contact, and which contact displaced a candidate."""

from collections.abc import Sequence
from dataclasses import dataclass

from schemas.times import Instant
from services.orchestrator.policy import free_instants
from services.orchestrator.policy.candidate import Candidate
from services.orchestrator.policy.compiled_policy import Cap
from services.orchestrator.policy.counted_contacts import CountedContacts
from services.orchestrator.policy.customer_facts import Facts
from services.orchestrator.policy.ledger import PLANNED, REPORTED_FLAG, LedgerRow, message_id_text
from services.orchestrator.policy.rank import Rank, contact_rank
from services.orchestrator.policy.time_zones import Zone, calendar_period


@dataclass(frozen=True, slots=True)
class CapWinner:
    """The lowest-ranked contact without which the cap would have allowed the candidate."""

    message_id: str
    campaign: str


def cap_zone(cap: Cap, facts: Facts) -> Zone:
    """Returns the time zone of a calendar cap."""
    return facts.calendar_zone if cap.in_customer_zone else facts.policy.zone


def next_free(cap: Cap, times: Sequence[Instant], facts: Facts, t: Instant) -> Instant:
    """Returns the earliest instant from `t` on that the cap allows, given the counted times."""
    if cap.rolling is not None:
        return free_instants.next_free_rolling(times, cap.limit, cap.rolling, t)
    return free_instants.next_free_calendar(
        times, cap.limit, cap.period, cap_zone(cap, facts), facts.policy.week_start, t
    )


def next_allowed(cap: Cap, contacts: CountedContacts, facts: Facts, t: Instant) -> Instant:
    """Returns the earliest instant from `t` on that the cap allows, given these contacts. Raises Incomplete."""
    times, back_to = contacts.times_by_slot[cap.slot], t - cap.look_back
    if len(times) < cap.limit or times[-cap.limit] <= back_to:  # the usual case: far from full
        contacts.require_complete_since(back_to)
        return t
    free = next_free(cap, times, facts, t)
    if free == t:
        contacts.require_complete_since(back_to)
    elif cap.excludes_siblings and cap.slot in contacts.sibling_made_at:
        return min(free, max(t, contacts.sibling_made_at[cap.slot]))
    return free


def find_winner(cap: Cap, candidate: Candidate, facts: Facts, t: Instant) -> CapWinner | None:
    """Returns the contact that displaced the candidate under a cap that refuses it at `t`, or None if the cap is simply
    full.
    """
    contacts, ledger = candidate.contacts, candidate.contacts.ledger
    other_times: list[Instant] = []
    outranking: list[tuple[Rank, Instant]] = []
    for index in range(len(ledger)):
        counts = index not in contacts.excluded or (not cap.excludes_siblings and index in contacts.siblings)
        row = ledger.row_at(index)
        if not counts or not facts.policy.counts_in_slot(ledger.attribute_table[row.attributes_index], cap.slot):
            continue
        other_rank = contact_rank(ledger, index)
        if (
            _may_have_displaced(row, candidate.first_planned, candidate.triggered.event_hash)
            and other_rank < contacts.view.rank
        ):
            outranking.append((other_rank, row.at))
        else:
            other_times.append(row.at)
    blocking_ranks = [other_rank for other_rank, at in outranking if _shares_window(cap, at, facts, t)]
    if not blocking_ranks or next_free(cap, other_times, facts, t) != t:
        return None
    lowest = max(blocking_ranks)
    return CapWinner(message_id_text(lowest[4]), lowest[3])


def _may_have_displaced(row: LedgerRow, first_planned: Instant | None, event_hash: int) -> bool:
    """Whether the contact is of the same event, or was planned or made after the candidate was first planned."""
    if row.flags & REPORTED_FLAG:
        return False
    if row.event_hash == event_hash:
        return True
    return first_planned is not None and (
        row.first_planned > first_planned or (row.flags != PLANNED and row.at > first_planned)
    )


def _shares_window(cap: Cap, at: Instant, facts: Facts, t: Instant) -> bool:
    """Whether a contact at `at` falls into the same window as `t`."""
    if cap.rolling is not None:
        return abs(at - t) < cap.rolling
    zone = cap_zone(cap, facts)
    first, after = calendar_period(zone.local_day(t), cap.period, facts.policy.week_start)
    return first <= zone.local_day(at) < after
