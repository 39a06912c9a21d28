"""A customer's timeline: what happened, what was decided and sent, and what has been known about the customer.

The console shows it and `/v1/customers/{id}/timeline` sends it. No entry holds an address or the value of a trait.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, NamedTuple

import msgspec

from schemas.facts import Consent, HoldFact, Quarantine, Situation, SuppressionEntry
from schemas.times import Instant
from services.kit.bus.fence import read_applied_offsets
from services.kit.db.database import Database, Tx
from services.orchestrator.campaigns.snapshot import CatalogueSnapshot
from services.orchestrator.decisions.facts_reader import FactsReader
from services.orchestrator.decisions.read_store import StoredDecision
from services.orchestrator.decisions.store import EMPTY_LEDGER, load_ledgers
from services.orchestrator.explain import timeline_store
from services.orchestrator.policy.customer_facts import Facts
from services.orchestrator.policy.ledger import Contact

NOTHING_KNOWN = (
    "there is no customer `{}`: no preferences are stored under this id, and no event of theirs triggered a campaign;"
    " upper and lower case matter in ids"
)


@dataclass(frozen=True, slots=True)
class EventEntry:
    """An event of the customer that triggered a campaign, when it was received."""

    at: Instant
    source: str
    event_id: str
    type: str


@dataclass(frozen=True, slots=True)
class DecisionEntry:
    """A decision about a message on one channel."""

    at: Instant
    stored: StoredDecision


@dataclass(frozen=True, slots=True)
class MessageEntry:
    """The state that a message is in since then."""

    at: Instant
    message_id: str
    campaign: str
    channel: str
    state: str
    adapter: str | None


@dataclass(frozen=True, slots=True)
class ContactEntry:
    """A contact that another tool has reported."""

    at: Instant
    contact: Contact


@dataclass(frozen=True, slots=True)
class SituationEntry:
    """A situation opened, or closed."""

    at: Instant
    situation: Situation
    is_closing: bool


@dataclass(frozen=True, slots=True)
class ConsentEntry:
    """The consent, or its refusal, that holds since then."""

    at: Instant
    consent: Consent


@dataclass(frozen=True, slots=True)
class DoNotContactEntry:
    """An entry of the do-not-contact list."""

    at: Instant
    entry: SuppressionEntry


@dataclass(frozen=True, slots=True)
class QuarantineEntry:
    """A quarantine began: an event could not be read that may have been a refusal."""

    at: Instant
    quarantine: Quarantine


@dataclass(frozen=True, slots=True)
class HoldEntry:
    """A hold on this customer alone began."""

    at: Instant
    hold: HoldFact


TimelineEntry = (
    DoNotContactEntry
    | ConsentEntry
    | QuarantineEntry
    | ContactEntry
    | SituationEntry
    | EventEntry
    | HoldEntry
    | DecisionEntry
    | MessageEntry
)
_ORDER = (
    *(DoNotContactEntry, ConsentEntry, QuarantineEntry, ContactEntry),
    *(SituationEntry, EventEntry, HoldEntry, DecisionEntry, MessageEntry),
)
"""How entries of one instant follow each other: causes first."""


class TimelinePosition(NamedTuple):
    """Where a page begins: at this instant, of which the pages before have shown so many entries."""

    at: Annotated[Instant, msgspec.Meta(ge=-(2**62), le=2**62)]
    shown: Annotated[int, msgspec.Meta(ge=0, le=100_000)]


class TimelinePage(NamedTuple):
    """Entries, newest first, and where the next page begins; None at the end."""

    entries: list[TimelineEntry]
    next: TimelinePosition | None


async def load_facts(
    database: Database, snapshot: CatalogueSnapshot, facts_reader: FactsReader, customer: str
) -> Facts:
    """The facts about one customer, no older than what this service has read of the log. Raises Transient."""
    async with database.read() as tx:
        offsets = await read_applied_offsets(tx)
        catalogue = await snapshot.get_catalogue(tx)
    return (await facts_reader.read_facts([customer], catalogue, offsets))[customer]


def is_known(facts: Facts) -> bool:
    """Whether anything is stored about the customer in the other services."""
    suppressions = facts.suppressions
    return bool(facts.preference.version or suppressions.entries or suppressions.situations or suppressions.holds)


async def load_timeline(
    tx: Tx, customer: str, facts: Facts | None, now: Instant, after: TimelinePosition | None, limit: int
) -> TimelinePage:
    """One page of the timeline up to now. Without facts it has events, decisions and messages only."""
    start = after or TimelinePosition(now, 0)
    until, rows = min(start.at, now), start.shown + limit + 1
    entries: list[TimelineEntry] = [
        *(_event_entry(row) for row in await timeline_store.list_events(tx, customer, until, rows)),
        *(
            DecisionEntry(item.decision.time, item)
            for item in await timeline_store.list_decisions(tx, customer, until, rows)
        ),
        *(_message_entry(row) for row in await timeline_store.list_messages(tx, customer, until, rows)),
    ]
    if facts is not None:
        ledger = (await load_ledgers(tx, [customer])).get(customer, EMPTY_LEDGER).ledger
        entries += [ContactEntry(contact.at, contact) for contact in ledger if contact.reported]
        entries += _facts_entries(facts)
    newest_first = sorted((entry for entry in entries if entry.at <= until), key=_sort_key, reverse=True)
    shown = start.shown if start.at == until else 0
    return _cut(newest_first[shown:], start, limit)


def _cut(entries: list[TimelineEntry], start: TimelinePosition, limit: int) -> TimelinePage:
    page = entries[:limit]
    if len(entries) <= limit:
        return TimelinePage(page, None)
    last = page[-1].at
    shown = sum(entry.at == last for entry in page) + (start.shown if last == start.at else 0)
    return TimelinePage(page, TimelinePosition(last, shown))


def _sort_key(entry: TimelineEntry) -> tuple[Instant, int, tuple[Any, ...]]:
    return entry.at, _ORDER.index(type(entry)), _identity(entry)


def _identity(entry: TimelineEntry) -> tuple[Any, ...]:
    """What tells an entry from others of its kind and instant: pages need one order."""
    match entry:
        case EventEntry():
            return entry.event_id, entry.source
        case DecisionEntry():
            return (entry.stored.decision_id,)
        case MessageEntry():
            return (entry.message_id,)
        case ContactEntry():
            return (entry.contact.message_id,)
        case SituationEntry():
            return entry.is_closing, entry.situation.kind, entry.situation.ref
        case ConsentEntry():
            return entry.consent.channel, entry.consent.topic
        case DoNotContactEntry():
            return entry.entry.channel or "", entry.entry.topic or "", entry.entry.reason, entry.entry.address or 0
        case QuarantineEntry():
            return entry.quarantine.topic, entry.quarantine.partition, entry.quarantine.offset
        case HoldEntry():
            return (entry.hold.key,)


def _event_entry(row: Any) -> EventEntry:
    return EventEntry(row.received, row.source, row.event_id, row.type)


def _message_entry(row: Any) -> MessageEntry:
    return MessageEntry(row.updated, row.message_id, row.campaign, row.channel, row.state, row.adapter)


def _facts_entries(facts: Facts) -> Iterator[TimelineEntry]:
    for situation in facts.suppressions.situations:
        yield SituationEntry(situation.opened, situation, False)
        if situation.closed is not None:
            yield SituationEntry(situation.closed, situation, True)
    for entry in facts.suppressions.entries:
        yield DoNotContactEntry(entry.at, entry)
    for consent in facts.preference.consent:
        yield ConsentEntry(consent.at, consent)
    for quarantine in (*facts.preference.quarantines, *facts.suppressions.quarantines):
        yield QuarantineEntry(quarantine.start, quarantine)
    for hold in facts.suppressions.holds:
        yield HoldEntry(hold.start, hold)
