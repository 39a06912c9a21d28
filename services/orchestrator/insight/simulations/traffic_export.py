"""Exports recorded traffic to the files that a simulation reads (services/simulation/recorded_traffic.py).

Events are those received between two instants. Facts and contacts are those of the first instant, with the facts' later
changes. Reading proceeds in small steps with pauses, so that live work is not slowed down.
"""

import asyncio
import base64
import hashlib
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import Row

from schemas.recorded import HoldPeriod
from schemas.times import Instant
from services.kit.db.database import Database, Tx
from services.orchestrator.explain.as_of import build_ledger
from services.orchestrator.insight.history_reader import HistoryReader
from services.orchestrator.insight.simulations import store
from services.orchestrator.policy.ledger import Ledger

MAX_EVENTS = 200_000
MAX_CUSTOMERS = 20_000
CUSTOMERS_PER_READ = 100
"""Customers per request."""
EVENTS_PER_READ = 1000
PAUSE_FACTOR = 4.0
"""The pause after each step, as a multiple of the step's duration."""
MAX_PAUSE = 1.0


class TrafficTooLarge(Exception):
    """The traffic exceeds what one simulation may hold; the text says how to request less."""


@dataclass(frozen=True, slots=True)
class TrafficWindow:
    """The traffic received from `since` (inclusive) to `until` (exclusive), of given customers or a share of all."""

    since: Instant
    until: Instant
    customers: frozenset[str] | None = None
    percent: float = 100.0

    def includes(self, customer: str) -> bool:
        """Whether the customer's traffic is included. A share always selects the same customers."""
        if self.customers is not None:
            return customer in self.customers
        digest = hashlib.sha256(f"simulation:{customer}".encode()).digest()
        return int.from_bytes(digest[:4], "big") % 10_000 < self.percent * 100


@dataclass(slots=True)
class ExportedTraffic:
    """What was exported, and what could not be: waiting messages, and removed entries for unknown addresses."""

    event_count: int = 0
    customers: list[str] = field(default_factory=list)
    waiting_messages: int = 0
    unknown_entries: int = 0


async def export_traffic(
    database: Database, recorder: HistoryReader, window: TrafficWindow, folder: Path
) -> ExportedTraffic:
    """Writes the traffic. Raises TrafficTooLarge, Transient."""
    exported = ExportedTraffic()
    names: dict[str, None] = {}
    with (folder / "events.jsonl").open("wb") as file:
        async for batch in _read_events(database, window):
            file.writelines(line for _, line in batch)
            names |= dict.fromkeys(customer for customer, _ in batch)
            exported.event_count += len(batch)
            _check_size(exported.event_count, len(names))
    exported.customers = sorted(names)
    await _export_customers(database, recorder, window, folder, exported)
    return exported


async def _read_events(database: Database, window: TrafficWindow) -> AsyncIterator[list[tuple[str, bytes]]]:
    """Yields customer and line of the events in order of receipt, reading slices of time with about as many events
    each.
    """
    at, span = window.since, max(1, (window.until - window.since) // 32)
    while at < window.until:
        began, end = time.monotonic(), min(window.until, at + span)
        async with database.read() as tx:
            limit = EVENTS_PER_READ + 1 if end - at > 1 else MAX_EVENTS + 1
            rows = await store.list_received_events(tx, window.customers, at, end, limit)
        await pause_after(began)
        if len(rows) > EVENTS_PER_READ and end - at > 1:
            span = (end - at) // 2
            continue
        if len(rows) < EVENTS_PER_READ // 2:
            span *= 2
        at = end
        yield [
            (row.customer, b'{"at":%d,"event":%s}\n' % (row.received, bytes(row.event)))
            for row in rows
            if window.includes(row.customer)
        ]


def _check_size(events: int, customers: int) -> None:
    for count, most, what in ((events, MAX_EVENTS, "events"), (customers, MAX_CUSTOMERS, "customers")):
        if count > most:
            raise TrafficTooLarge(
                f"the span contains more than {most:,} {what}; request a shorter span or fewer customers"
            )


async def _export_customers(
    database: Database, recorder: HistoryReader, window: TrafficWindow, folder: Path, exported: ExportedTraffic
) -> None:
    holds: tuple[HoldPeriod, ...] = ()
    encode = msgspec.json.Encoder().encode
    with (folder / "customers.jsonl").open("wb") as facts, (folder / "ledgers.jsonl").open("wb") as ledgers:
        for start in range(0, len(exported.customers), CUSTOMERS_PER_READ):
            began = time.monotonic()
            batch = exported.customers[start : start + CUSTOMERS_PER_READ]
            recorded = await recorder.read_between(batch, window.since, window.until)
            facts.writelines(encode(each) + b"\n" for each in recorded.customers)
            async with database.read() as tx:
                found = await _build_ledgers(tx, batch, window.since)
            for customer, ledger in found.items():
                exported.waiting_messages += sum(contact.state == "planned" for contact in ledger)
                packed = base64.b64encode(_without_planned(ledger).pack()).decode()
                ledgers.write(encode({"customer": customer, "ledger": packed}) + b"\n")
            holds, exported.unknown_entries = recorded.holds, recorded.unknown
            await pause_after(began)
    (folder / "holds.json").write_bytes(encode(holds))


async def _build_ledgers(tx: Tx, customers: Sequence[str], at: Instant) -> dict[str, Ledger]:
    """Returns the customers' ledgers as recorded before an instant; customers without contacts are absent."""
    rows_by_customer: dict[str, list[Row[Any]]] = {}
    for row in await store.list_contact_history(tx, customers, at):
        rows_by_customer.setdefault(row.customer, []).append(row)
    return {customer: build_ledger(each) for customer, each in rows_by_customer.items()}


def _without_planned(ledger: Ledger) -> Ledger:
    """Returns the ledger without planned contacts."""
    for message in [contact.message_id for contact in ledger if contact.state == "planned"]:
        ledger = ledger.release(message)
    return ledger


async def pause_after(began: float) -> None:
    """Pauses, so that other work gets most of the time."""
    await asyncio.sleep(min(PAUSE_FACTOR * (time.monotonic() - began), MAX_PAUSE))
