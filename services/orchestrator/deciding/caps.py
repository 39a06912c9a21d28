"""Frequency caps as arithmetic; shared by the rules `frequency_cap` and `arbitration`."""

from collections.abc import Sequence
from dataclasses import dataclass
from operator import itemgetter

from schemas.times import Instant
from services.orchestrator.deciding import spans
from services.orchestrator.deciding.candidate import Candidate
from services.orchestrator.deciding.contacts import counted
from services.orchestrator.deciding.facts import Facts
from services.orchestrator.deciding.horizon import LONGEST_PERIOD
from services.orchestrator.deciding.ledger import AT, EVENT, FLAGS, KIND, PLANNED, REPORTED, SINCE, Row, text_id
from services.orchestrator.deciding.policy import Cap
from services.orchestrator.deciding.rank import rank_of
from services.orchestrator.deciding.zones import Zone, period


@dataclass(frozen=True, slots=True)
class Lost:
    """The cap would allow without contacts that outrank the candidate; `to` is the lowest-ranked of them."""

    to: str


def zone_of(cap: Cap, facts: Facts) -> Zone:
    """The zone of a calendar cap."""
    return facts.zone if cap.of_customer else facts.policy.zone


def free_from(cap: Cap, times: Sequence[Instant], facts: Facts, t: Instant) -> Instant:
    """The least instant from `t` on that the cap allows when these times are counted."""
    if len(times) < cap.limit:
        return t
    if cap.rolling is not None:
        return spans.rolling(times, cap.limit, cap.rolling, t)
    return spans.calendar(times, cap.limit, cap.period, zone_of(cap, facts), facts.policy.week_start, t)


def allowed_from(cap: Cap, candidate: Candidate, facts: Facts, t: Instant) -> Instant:
    """The least instant from `t` on that the cap allows the candidate. Raises Incomplete."""
    contacts = candidate.contacts
    found = free_from(cap, contacts.times[cap.slot], facts, t)
    if found == t:
        contacts.reaches(t - (LONGEST_PERIOD[cap.period] if cap.rolling is None else cap.rolling))
    elif cap.one_touch and cap.slot in contacts.made:
        return min(found, max(t, contacts.made[cap.slot]))
    return found


def lost(cap: Cap, candidate: Candidate, facts: Facts, t: Instant) -> Lost | None:
    """To whom the candidate lost its place under a cap that refuses it at `t`; None when the cap is simply full."""
    of, ledger = candidate.contacts.of, candidate.contacts.ledger
    kept: list[Instant] = []
    taken: list[Row] = []
    rows, siblings = counted(ledger, of)
    for row in rows if cap.one_touch else sorted([*rows, *siblings], key=itemgetter(AT)):
        if cap.slot not in facts.policy.slots(ledger.kinds[row[KIND]]):
            continue
        if _took_it(row, candidate.since, of.event) and rank_of(ledger, row) < of.rank:
            taken.append(row)
        else:
            kept.append(row[AT])
    bearing = [row for row in taken if _bears(cap, row[AT], facts, t)]
    if not bearing or free_from(cap, kept, facts, t) != t:
        return None
    return Lost(text_id(max(rank_of(ledger, row) for row in bearing)[4]))


def _took_it(row: Row, since: Instant | None, event: int) -> bool:
    """Of the same event, or first planned or made later than the candidate's first planning."""
    if row[FLAGS] & REPORTED:
        return False
    if row[EVENT] == event:
        return True
    return since is not None and (row[SINCE] > since or (row[FLAGS] != PLANNED and row[AT] > since))


def _bears(cap: Cap, at: Instant, facts: Facts, t: Instant) -> bool:
    """Whether a contact shares a window with `t`."""
    if cap.rolling is not None:
        return abs(at - t) < cap.rolling
    zone = zone_of(cap, facts)
    first, after = period(zone.day(t), cap.period, facts.policy.week_start)
    return first <= zone.day(at) < after
