"""Frequency caps as arithmetic; shared by the rules `frequency_cap` and `arbitration`."""

from collections.abc import Sequence
from dataclasses import dataclass

from schemas.times import Instant
from services.orchestrator.policy import free_instants
from services.orchestrator.policy.candidate import Candidate
from services.orchestrator.policy.compiled_policy import Cap
from services.orchestrator.policy.counted_contacts import Contacts
from services.orchestrator.policy.customer_facts import Facts
from services.orchestrator.policy.ledger import PLANNED, REPORTED, Row, text_id
from services.orchestrator.policy.rank import Rank, rank_of
from services.orchestrator.policy.time_zones import Zone, period


@dataclass(frozen=True, slots=True)
class Lost:
    """The cap would allow without contacts that outrank the candidate; `to` is the lowest-ranked of them."""

    to: str


def zone_of(cap: Cap, facts: Facts) -> Zone:
    """The zone of a calendar cap."""
    return facts.zone if cap.of_customer else facts.policy.zone


def free_from(cap: Cap, times: Sequence[Instant], facts: Facts, t: Instant) -> Instant:
    """The least instant from `t` on that the cap allows when these times are counted."""
    if cap.rolling is not None:
        return free_instants.rolling(times, cap.limit, cap.rolling, t)
    return free_instants.calendar(times, cap.limit, cap.period, zone_of(cap, facts), facts.policy.week_start, t)


def allowed_from(cap: Cap, contacts: Contacts, facts: Facts, t: Instant) -> Instant:
    """The least instant from `t` on that the cap allows against these contacts. Raises Incomplete."""
    times, back_to = contacts.times[cap.slot], t - cap.span
    if len(times) < cap.limit or times[-cap.limit] <= back_to:  # mostly, and then nothing needs to be worked out
        contacts.reaches(back_to)
        return t
    found = free_from(cap, times, facts, t)
    if found == t:
        contacts.reaches(back_to)
    elif cap.one_touch and cap.slot in contacts.made:
        return min(found, max(t, contacts.made[cap.slot]))
    return found


def lost(cap: Cap, candidate: Candidate, facts: Facts, t: Instant) -> Lost | None:
    """To whom the candidate lost its place under a cap that refuses it at `t`; None when the cap is simply full."""
    contacts, ledger = candidate.contacts, candidate.contacts.ledger
    kept: list[Instant] = []
    taken: list[tuple[Rank, Instant]] = []
    for place in range(len(ledger)):
        counts = place not in contacts.out or (not cap.one_touch and place in contacts.siblings)
        row = ledger.row(place)
        if not counts or not facts.policy.counts(ledger.kinds[row.kind], cap.slot):
            continue
        of = rank_of(ledger, place)
        if _took_it(row, candidate.since, candidate.touch.event_hash) and of < contacts.of.rank:
            taken.append((of, row.at))
        else:
            kept.append(row.at)
    bearing = [of for of, at in taken if _bears(cap, at, facts, t)]
    if not bearing or free_from(cap, kept, facts, t) != t:
        return None
    return Lost(text_id(max(bearing)[4]))


def _took_it(row: Row, since: Instant | None, event: int) -> bool:
    """Of the same event, or first planned or made later than the candidate's first planning."""
    if row.flags & REPORTED:
        return False
    if row.event == event:
        return True
    return since is not None and (row.since > since or (row.flags != PLANNED and row.at > since))


def _bears(cap: Cap, at: Instant, facts: Facts, t: Instant) -> bool:
    """Whether a contact shares a window with `t`."""
    if cap.rolling is not None:
        return abs(at - t) < cap.rolling
    zone = zone_of(cap, facts)
    first, after = period(zone.day(t), cap.period, facts.policy.week_start)
    return first <= zone.day(at) < after
