"""The history of customers, and of everybody's holds, as changes in order."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import Row

from schemas.facts import Asked, Entry, HoldFact, Situation
from schemas.recorded import RecordedHold
from schemas.times import Instant
from services.kit.db.database import Tx
from services.suppression.as_of import Change, in_order, span
from services.suppression.customer_state import quarantine_hold
from services.suppression.store.entry_store import of_addresses_with_ids, unpacked

_hold = msgspec.msgpack.Decoder(HoldFact).decode


async def changes(tx: Tx, customer: str, hashes: Sequence[str], since: Instant, until: Instant) -> list[Change]:
    """All that was recorded by `until` of the customer, their addresses (by keyed hash), and everybody's holds.

    Holds that were over before `since` are left out.
    Of addresses, only entries that have not been removed since can be found: see `removed_addresses`.
    """
    asked = Asked(customer, tuple(("", digest) for digest in hashes))
    own = await changes_of(tx, [asked], until)
    return in_order(own[customer], _of_holds(await holds_between(tx, since, until)))


async def changes_of(tx: Tx, asked: Sequence[Asked], until: Instant) -> dict[str, list[Change]]:
    """As `changes`, of several customers and without holds."""
    customers = [each.customer for each in asked]
    hashes = {each.customer: [digest for _, digest in each.addresses] for each in asked}
    parts = (
        await _own_entries(tx, customers, until),
        await _address_entries(tx, hashes, until),
        await _situations(tx, customers, until),
        await _quarantines(tx, customers, until),
    )
    return {customer: in_order(*(part.get(customer, ()) for part in parts)) for customer in customers}


async def removed_addresses(tx: Tx, since: Instant, until: Instant) -> int:
    """Entries of addresses that stood between two instants and have been removed: their address is not kept."""
    row = await tx.row(
        "SELECT count(*) AS entries FROM suppression_entry "
        "WHERE customer IS NULL AND added_at <= :until AND removed_at > :since",
        since=since,
        until=until,
    )
    return 0 if row is None else int(row.entries)


async def holds_between(tx: Tx, since: Instant, until: Instant) -> list[RecordedHold]:
    """Everybody's holds that stood at some instant between two, in order of placing."""
    sql = """
        SELECT fact, placed_at, ended_at FROM hold
        WHERE placed_at <= :until AND (ended_at IS NULL OR ended_at > :since) AND (until IS NULL OR until > :since)
        ORDER BY seq
    """
    rows = await tx.rows(sql, since=since, until=until)
    return [RecordedHold(row.placed_at, row.ended_at, _hold(row.fact)) for row in rows]


def _of_holds(holds: Sequence[RecordedHold]) -> list[Change]:
    placed = [Change(each.placed, "place", str(place), each.hold) for place, each in enumerate(holds)]
    return [step for change, each in zip(placed, holds, strict=True) for step in span(change, each.ended, "end")]


async def _own_entries(tx: Tx, customers: Sequence[str], until: Instant) -> dict[str, list[Change]]:
    sql = f"""
        SELECT customer, id, channel, topic, classes, reason, at, expires, added_at, removed_at FROM suppression_entry
        WHERE customer IN ({tx.each("customers")}) AND added_at <= :until ORDER BY customer, id
    """
    found: dict[str, list[Change]] = {}
    for row in await tx.rows(sql, customers=tx.array(customers), until=until):
        found.setdefault(row.customer, []).extend(span(_added(row, None), row.removed_at, "remove"))
    return found


async def _address_entries(tx: Tx, hashes: Mapping[str, Sequence[str]], until: Instant) -> dict[str, list[Change]]:
    wanted = [digest for each in hashes.values() for digest in each]
    known: dict[str, list[Row[Any]]] = {}
    for row in await of_addresses_with_ids(tx, wanted) if wanted else ():
        if row.added_at <= until:
            known.setdefault(row.hash, []).append(row)
    return {
        customer: [
            _added(row, place)._replace(id=f"{row.id}@{place}")
            for place, digest in enumerate(each)
            for row in known.get(digest, ())
        ]
        for customer, each in hashes.items()
    }


def _added(row: Row[Any], address: int | None) -> Change:
    entry = Entry(row.channel, row.topic, unpacked(row.classes), row.at, row.expires, row.reason, address)
    return Change(row.added_at, "add", row.id, entry)


async def _situations(tx: Tx, customers: Sequence[str], until: Instant) -> dict[str, list[Change]]:
    sql = f"""
        SELECT customer, kind, ref, action, at, recorded FROM situation_event
        WHERE customer IN ({tx.each("customers")}) AND recorded <= :until ORDER BY customer, seq
    """
    found: dict[str, list[Change]] = {}
    for row in await tx.rows(sql, customers=tx.array(customers), until=until):
        name = f"{row.kind} {row.ref}"
        if row.action == "opened":
            change = Change(row.recorded, "open", name, Situation(row.kind, row.ref, row.at), True)
        else:
            change = Change(row.recorded, "close", name, Situation(row.kind, row.ref, row.at, row.at), True)
        found.setdefault(row.customer, []).append(change)
    return found


async def _quarantines(tx: Tx, customers: Sequence[str], until: Instant) -> dict[str, list[Change]]:
    sql = f"""
        SELECT customer, start FROM quarantine
        WHERE customer IN ({tx.each("customers")}) AND start <= :until ORDER BY customer, seq
    """
    found: dict[str, list[Change]] = {}
    for row in await tx.rows(sql, customers=tx.array(customers), until=until):
        change = Change(row.start, "quarantine", row.customer, quarantine_hold(row.start))
        found.setdefault(row.customer, []).append(change)
    return found
