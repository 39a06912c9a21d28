"""SQL that reads the history of customers and holds as changes in order, for `as_of`."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import Row

from schemas.facts import HoldFact, Quarantine, Situation, SuppressionEntry
from schemas.recorded import HoldPeriod
from schemas.service_api import CustomerAddressHashes
from schemas.times import Instant
from services.kit.db.database import Tx
from services.suppression.as_of import SuppressionChange, concatenate, with_end
from services.suppression.store.entry_store import decode_classes, list_address_records

_decode_hold = msgspec.msgpack.Decoder(HoldFact).decode


async def list_changes(tx: Tx, query: CustomerAddressHashes, since: Instant, until: Instant) -> list[SuppressionChange]:
    """Changes recorded by `until` of the customer, their addresses (keyed hashes), and holds that concern everybody.

    Holds that ended before `since` are left out. Entries of addresses that have been removed since cannot be found, as
    their hashes are deleted: see `count_removed_address_entries`.
    """
    own = await list_changes_by_customer(tx, [query], until)
    return concatenate(own[query.customer], _hold_changes(await list_holds_between(tx, since, until)))


async def list_changes_by_customer(
    tx: Tx, queries: Sequence[CustomerAddressHashes], until: Instant
) -> dict[str, list[SuppressionChange]]:
    """As `list_changes`, for several customers and without holds."""
    customers = [query.customer for query in queries]
    hashes = {query.customer: query.hashes for query in queries}
    parts = (
        await _customer_entry_changes(tx, customers, until),
        await _address_entry_changes(tx, hashes, until),
        await _situation_changes(tx, customers, until),
        await _quarantine_changes(tx, customers, until),
    )
    return {customer: concatenate(*(part.get(customer, ()) for part in parts)) for customer in customers}


async def count_removed_address_entries(tx: Tx, since: Instant, until: Instant) -> int:
    """Number of address entries that were live between two instants and have been removed since."""
    row = await tx.row(
        "SELECT count(*) AS entries FROM suppression_entry "
        "WHERE customer IS NULL AND added_at <= :until AND removed_at > :since",
        since=since,
        until=until,
    )
    return 0 if row is None else int(row.entries)


async def list_holds_between(tx: Tx, since: Instant, until: Instant) -> list[HoldPeriod]:
    """Holds that were in force or to come at some instant between two, in order of placing."""
    sql = """
        SELECT fact, placed_at, ended_at FROM hold
        WHERE placed_at <= :until AND (ended_at IS NULL OR ended_at > :since) AND (until IS NULL OR until > :since)
        ORDER BY seq
    """
    rows = await tx.rows(sql, since=since, until=until)
    return [HoldPeriod(row.placed_at, row.ended_at, _decode_hold(row.fact)) for row in rows]


def _hold_changes(holds: Sequence[HoldPeriod]) -> list[SuppressionChange]:
    placed = [SuppressionChange(query.placed, "place", str(index), query.hold) for index, query in enumerate(holds)]
    return [step for change, query in zip(placed, holds, strict=True) for step in with_end(change, query.ended, "end")]


async def _customer_entry_changes(
    tx: Tx, customers: Sequence[str], until: Instant
) -> dict[str, list[SuppressionChange]]:
    sql = f"""
        SELECT customer, id, channel, topic, classes, reason, at, expires, added_at, removed_at FROM suppression_entry
        WHERE customer IN ({tx.unnest("customers")}) AND added_at <= :until ORDER BY customer, id
    """
    found: dict[str, list[SuppressionChange]] = {}
    for row in await tx.rows(sql, customers=tx.list_parameter(customers), until=until):
        found.setdefault(row.customer, []).extend(with_end(_entry_added(row, None), row.removed_at, "remove"))
    return found


async def _address_entry_changes(
    tx: Tx, hashes: Mapping[str, Sequence[tuple[int, str]]], until: Instant
) -> dict[str, list[SuppressionChange]]:
    all_hashes = [digest for query in hashes.values() for _, digest in query]
    known: dict[str, list[Row[Any]]] = {}
    for row in await list_address_records(tx, all_hashes) if all_hashes else ():
        if row.added_at <= until:
            known.setdefault(row.hash, []).append(row)
    return {
        customer: [
            _entry_added(row, index)._replace(id=f"{row.id}@{index}")
            for index, digest in query
            for row in known.get(digest, ())
        ]
        for customer, query in hashes.items()
    }


def _entry_added(row: Row[Any], address: int | None) -> SuppressionChange:
    entry = SuppressionEntry(
        row.channel, row.topic, decode_classes(row.classes), row.at, row.expires, row.reason, address
    )
    return SuppressionChange(row.added_at, "add", row.id, entry)


async def _situation_changes(tx: Tx, customers: Sequence[str], until: Instant) -> dict[str, list[SuppressionChange]]:
    sql = f"""
        SELECT customer, kind, ref, action, at, recorded, opened, closed FROM situation_event
        WHERE customer IN ({tx.unnest("customers")}) AND recorded <= :until ORDER BY customer, seq
    """
    found: dict[str, list[SuppressionChange]] = {}
    for row in await tx.rows(sql, customers=tx.list_parameter(customers), until=until):
        found.setdefault(row.customer, []).append(_situation_change(row))
    return found


def _situation_change(row: Row[Any]) -> SuppressionChange:
    name = f"{row.kind} {row.ref}"
    match row.action:
        case "opened":
            return SuppressionChange(row.recorded, "open", name, Situation(row.kind, row.ref, row.at), True)
        case "corrected":
            corrected = Situation(row.kind, row.ref, row.opened, row.closed)
            return SuppressionChange(row.recorded, "correct", name, corrected, True)
        case "withdrawn":
            return SuppressionChange(row.recorded, "withdraw", name, Situation(row.kind, row.ref, row.at), True)
    return SuppressionChange(row.recorded, "close", name, Situation(row.kind, row.ref, row.at, row.at), True)


async def _quarantine_changes(tx: Tx, customers: Sequence[str], until: Instant) -> dict[str, list[SuppressionChange]]:
    sql = f"""
        SELECT customer, start, until, topic, partition, log_offset, ended FROM quarantine
        WHERE customer IN ({tx.unnest("customers")}) AND start <= :until ORDER BY customer, seq
    """
    found: dict[str, list[SuppressionChange]] = {}
    for row in await tx.rows(sql, customers=tx.list_parameter(customers), until=until):
        fact = Quarantine(row.topic, row.partition, row.log_offset, row.start, row.until)
        name = f"{row.topic}/{row.partition}/{row.log_offset}"
        change = SuppressionChange(row.start, "quarantine", name, fact)
        found.setdefault(row.customer, []).extend(with_end(change, row.ended, "release"))
    return found
