"""The history of one customer, and of everybody's holds, as changes in order."""

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import Row

from schemas.facts import Entry, HoldFact, Situation
from schemas.times import Instant
from services.kit.db import Tx
from services.suppression.past import Change, in_order, span
from services.suppression.state import quarantine_hold
from services.suppression.store.entries import of_addresses_with_ids, unpacked

_hold = msgspec.msgpack.Decoder(HoldFact).decode


async def changes(tx: Tx, customer: str, hashes: Sequence[str], since: Instant, until: Instant) -> list[Change]:
    """All that was recorded by `until` of the customer, their addresses (by keyed hash), and everybody's holds.

    Holds that were over before `since` are left out.
    Of addresses, only entries that have not been removed since can be found: see `removed_addresses`.
    """
    return in_order(
        await _own_entries(tx, customer, until),
        await _address_entries(tx, hashes, until),
        await _situations(tx, customer, until),
        await _quarantines(tx, customer, until),
        await _holds(tx, since, until),
    )


async def removed_addresses(tx: Tx, since: Instant, until: Instant) -> int:
    """Entries of addresses that stood between two instants and have been removed: their address is not kept."""
    row = await tx.row(
        "SELECT count(*) AS entries FROM suppression_entry "
        "WHERE customer IS NULL AND added_at <= :until AND removed_at > :since",
        since=since,
        until=until,
    )
    return 0 if row is None else int(row.entries)


async def _own_entries(tx: Tx, customer: str, until: Instant) -> list[Change]:
    sql = """
        SELECT id, channel, topic, classes, reason, at, expires, added_at, removed_at FROM suppression_entry
        WHERE customer = :customer AND added_at <= :until ORDER BY id
    """
    rows = await tx.rows(sql, customer=customer, until=until)
    return [change for row in rows for change in span(_added(row, None), row.removed_at, "remove")]


async def _address_entries(tx: Tx, hashes: Sequence[str], until: Instant) -> list[Change]:
    found = await of_addresses_with_ids(tx, hashes)
    return [
        _added(row, place)._replace(id=f"{row.id}@{place}")
        for place, digest in enumerate(hashes)
        for row in found
        if row.hash == digest and row.added_at <= until
    ]


def _added(row: Row[Any], address: int | None) -> Change:
    entry = Entry(row.channel, row.topic, unpacked(row.classes), row.at, row.expires, row.reason, address)
    return Change(row.added_at, "add", row.id, entry)


async def _situations(tx: Tx, customer: str, until: Instant) -> list[Change]:
    sql = """
        SELECT kind, ref, action, at, recorded FROM situation_event
        WHERE customer = :customer AND recorded <= :until ORDER BY seq
    """
    found: list[Change] = []
    for row in await tx.rows(sql, customer=customer, until=until):
        name = f"{row.kind} {row.ref}"
        if row.action == "opened":
            found.append(Change(row.recorded, "open", name, Situation(row.kind, row.ref, row.at)))
        else:
            found.append(Change(row.recorded, "close", name, Situation(row.kind, row.ref, row.at, row.at)))
    return found


async def _quarantines(tx: Tx, customer: str, until: Instant) -> list[Change]:
    sql = "SELECT start FROM quarantine WHERE customer = :customer AND start <= :until ORDER BY seq"
    rows = await tx.rows(sql, customer=customer, until=until)
    return [Change(row.start, "quarantine", customer, quarantine_hold(row.start)) for row in rows]


async def _holds(tx: Tx, since: Instant, until: Instant) -> list[Change]:
    sql = """
        SELECT seq, fact, placed_at, ended_at FROM hold
        WHERE placed_at <= :until AND (ended_at IS NULL OR ended_at > :since) AND (until IS NULL OR until > :since)
        ORDER BY seq
    """
    rows = await tx.rows(sql, since=since, until=until)
    return [
        change
        for row in rows
        for change in span(Change(row.placed_at, "place", str(row.seq), _hold(row.fact)), row.ended_at, "end")
    ]
