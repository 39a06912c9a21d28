"""SQL of do-not-contact entries: `suppression_entry` records all that ever existed, `address_entry` the live hashes."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Row

from schemas.facts import SuppressionEntry
from schemas.service_api import RECEIPTS_OF, LiftEntriesRequest
from schemas.times import Instant
from schemas.vocabulary import SuppressionReason
from services.kit.db.database import Tx

_RECORD_COLUMNS = (
    *("id", "customer", "masked", "channel", "topic", "classes"),
    *("reason", "at", "expires", "source", "note", "added_by", "added_at"),
)
_ADDRESS_COLUMNS = ("hash", "id", "channel", "topic", "classes", "reason", "at", "expires")
_NEW_ADDRESS_COLUMNS = (*_ADDRESS_COLUMNS, "as_spelt")
_CANONICAL = 0
_ADDRESS_KEY_NAME = "address_key"
_ENTRY_COLUMNS = f"{', '.join(_RECORD_COLUMNS)}, removed_by, removed_at, remove_reason"


class NewEntry(NamedTuple):
    """An entry to be recorded, with its source and who added it; no plain address."""

    id: str
    customer: str | None
    masked: str | None
    hashes: tuple[str, ...]
    entry: SuppressionEntry
    source: str | None
    added_by: str
    note: str | None = None


async def insert_entries(tx: Tx, entries: Sequence[NewEntry], added_at: Instant) -> None:
    """Record these entries, and index those of addresses by their hashes."""
    records: list[tuple[object, ...]] = []
    addresses: list[tuple[object, ...]] = []
    for new in entries:
        scope = (new.entry.channel, new.entry.topic, encode_classes(new.entry.classes))
        validity = (new.entry.reason, new.entry.at, new.entry.expires)
        said = (new.source, new.note, new.added_by)
        records.append((new.id, new.customer, new.masked, *scope, *validity, *said, added_at))
        addresses.extend((digest, new.id, *scope, *validity, _CANONICAL) for digest in new.hashes)
    await tx.bulk_insert("suppression_entry", _RECORD_COLUMNS, records)
    await tx.bulk_insert("address_entry", _NEW_ADDRESS_COLUMNS, addresses)


async def list_address_entries(tx: Tx, hashes: Iterable[str]) -> dict[str, tuple[SuppressionEntry, ...]]:
    """The live entries of these addresses."""
    names = list(set(hashes))
    if not names:
        return {}
    sql = f"""
        SELECT {", ".join(_ADDRESS_COLUMNS)} FROM address_entry WHERE {tx.in_list("hash", "hashes")} ORDER BY hash, id
    """
    found: dict[str, tuple[SuppressionEntry, ...]] = {}
    for row in await tx.rows(sql, hashes=tx.list_parameter(names)):
        entry = SuppressionEntry(row.channel, row.topic, decode_classes(row.classes), row.at, row.expires, row.reason)
        found[row.hash] = (*found.get(row.hash, ()), entry)
    return found


async def has_spellings(tx: Tx) -> bool:
    """Whether there are hashes that earlier versions made, which may be those of a spelling."""
    return await tx.row("SELECT 1 FROM address_entry WHERE as_spelt = 1 LIMIT 1") is not None


async def find_spellings(tx: Tx, hashes: Iterable[str]) -> list[str]:
    """Those of the hashes under which there are entries that earlier versions made."""
    rows = await tx.rows(
        f"SELECT DISTINCT hash FROM address_entry WHERE as_spelt = 1 AND {tx.in_list('hash', 'hashes')}",
        hashes=tx.list_parameter(list(set(hashes))),
    )
    return [row.hash for row in rows]


async def carry_over_spellings(tx: Tx, canonical_hashes: Iterable[tuple[str, str]]) -> None:
    """Keep the entries of each spelling (first hash) under the canonical form of its address (second hash) as well.

    The hash of the spelling stays: a number in national form is another address in another country. An entry that is
    found under its canonical hash is not one of a spelling, and so none of its hashes is.
    """
    await lock_address_entries(tx)
    for spelling, canonical in sorted(set(canonical_hashes)):
        if spelling == canonical:
            await tx.execute(
                "UPDATE address_entry SET as_spelt = 0 "
                "WHERE id IN (SELECT id FROM address_entry WHERE hash = :hash AND as_spelt = 1)",
                hash=canonical,
            )
            continue
        columns = ", ".join(_ADDRESS_COLUMNS[1:])
        await tx.execute(
            f"INSERT INTO address_entry (hash, {columns}, as_spelt) SELECT :canonical, {columns}, {_CANONICAL} "
            "FROM address_entry WHERE hash = :spelling ON CONFLICT (hash, id) DO NOTHING",
            canonical=canonical,
            spelling=spelling,
        )


async def list_address_records(tx: Tx, hashes: Iterable[str]) -> Sequence[Row[Any]]:
    """The live entries of these addresses with their ids and when each was added, by hash and id."""
    sql = f"""
        SELECT a.hash, a.id, a.channel, a.topic, a.classes, a.reason, a.at, a.expires, e.added_at
        FROM address_entry a JOIN suppression_entry e ON e.id = a.id
        WHERE {tx.in_list("a.hash", "hashes")} ORDER BY a.hash, a.id
    """
    return await tx.rows(sql, hashes=tx.list_parameter(list(set(hashes))))


async def lock_address_entries(tx: Tx) -> None:
    """Block other transactions from adding entries of addresses until this one ends, so that none is added twice.

    A table lock, because there is no row to lock for an address without entries. SQLite has one writer anyway.
    """
    if tx.dialect == "postgresql":
        await tx.execute("LOCK TABLE address_entry IN SHARE ROW EXCLUSIVE MODE")


async def get_entry(tx: Tx, entry_id: str) -> Row[Any] | None:
    """The record of one entry."""
    return await tx.row(f"SELECT {_ENTRY_COLUMNS} FROM suppression_entry WHERE id = :id", id=entry_id)


async def mark_removed(tx: Tx, entry_id: str, removed_by: str, reason: str | None, now: Instant) -> bool:
    """Record who removed the entry, when and why; False when it is not live. Deletes the hashes of its address."""
    sql = """
        UPDATE suppression_entry SET removed_by = :removed_by, removed_at = :now, remove_reason = :reason
        WHERE id = :id AND removed_at IS NULL
    """
    if not await tx.execute(sql, id=entry_id, removed_by=removed_by, reason=reason, now=now):
        return False
    await tx.execute("DELETE FROM address_entry WHERE id = :id", id=entry_id)
    return True


async def list_entries(
    tx: Tx,
    before: str,
    limit: int,
    *,
    customer: str | None,
    pseudonym: str | None,
    reason: str | None,
    hashes: Sequence[str] | None,
) -> Sequence[Row[Any]]:
    """Live entries with an id below `before`, newest first; optionally of a customer, a reason, some addresses.

    `pseudonym`: under which a customer who was erased has an entry.
    """
    where = ["removed_at IS NULL"]
    params: dict[str, object] = {"before": before, "limit": limit}
    if before:
        where.append("id < :before")
    else:
        params.pop("before")
    if customer is not None:
        where.append("(customer = :customer OR id IN (SELECT id FROM address_entry WHERE hash = :pseudonym))")
        params |= {"customer": customer, "pseudonym": pseudonym}
    if reason is not None:
        where.append("reason = :reason")
        params["reason"] = reason
    if hashes is not None:
        where.append(f"id IN (SELECT id FROM address_entry WHERE {tx.in_list('hash', 'hashes')})")
        params["hashes"] = tx.list_parameter(hashes)
    sql = f"SELECT {_ENTRY_COLUMNS} FROM suppression_entry WHERE {' AND '.join(where)} ORDER BY id DESC LIMIT :limit"
    return await tx.rows(sql, **params)


async def list_entries_after(tx: Tx, after: str, limit: int, reason: str | None) -> Sequence[Row[Any]]:
    """Live entries with an id above `after`, oldest first; optionally of one reason."""
    only = "" if reason is None else "AND reason = :reason"
    sql = f"""
        SELECT {_ENTRY_COLUMNS} FROM suppression_entry WHERE removed_at IS NULL AND id > :after {only}
        ORDER BY id LIMIT :limit
    """
    return await tx.rows(sql, after=after, limit=limit, **({} if reason is None else {"reason": reason}))


async def list_hashes(tx: Tx, entry_id: str) -> list[str]:
    """The keyed hashes under which an entry of an address is live."""
    rows = await tx.rows("SELECT hash FROM address_entry WHERE id = :id ORDER BY hash", id=entry_id)
    return [row.hash for row in rows]


async def list_lifted(
    tx: Tx, hashes: Sequence[str], channel: str, at: Instant, request: LiftEntriesRequest
) -> list[str]:
    """The ids of the live entries of an address on a channel that a request means with the instant `at`."""
    # Soft bounces are counted over the receipts of all adapters, so any of them may have made the entry.
    of_any = request.reason == SuppressionReason.SOFT_BOUNCES and request.added_by.startswith(RECEIPTS_OF)
    made = "substr(added_by, 1, :length) = :maker" if of_any else "added_by = :maker"
    rows = await tx.tuples(
        f"SELECT id FROM suppression_entry WHERE removed_at IS NULL AND reason = :reason AND channel = :channel "
        f"AND at {'=' if request.only_then else '<='} :at AND {made} "
        f"AND id IN (SELECT id FROM address_entry WHERE {tx.in_list('hash', 'hashes')}) ORDER BY id",
        reason=request.reason,
        channel=channel,
        at=at,
        maker=RECEIPTS_OF if of_any else request.added_by,
        hashes=tx.list_parameter(hashes),
        **({"length": len(RECEIPTS_OF)} if of_any else {}),
    )
    return [entry_id for (entry_id,) in rows]


async def count_by_reason(tx: Tx) -> dict[str, int]:
    """How many entries are live, by reason."""
    sql = "SELECT reason, count(*) AS entries FROM suppression_entry WHERE removed_at IS NULL GROUP BY reason"
    return {row.reason: int(row.entries) for row in await tx.rows(sql)}


def encode_classes(classes: tuple[str, ...] | None) -> str | None:
    """The classes of an entry as they are stored."""
    return None if classes is None else msgspec.json.encode(classes).decode()


def decode_classes(classes: str | None) -> tuple[str, ...] | None:
    """The classes of an entry from their stored form."""
    return None if classes is None else msgspec.json.decode(classes, type=tuple[str, ...])


async def register_address_key(tx: Tx, fingerprint: str) -> str:
    """The fingerprint of the key with which stored addresses are hashed; the first call sets it for good."""
    sql = "INSERT INTO settled (name, value) VALUES (:name, :value) ON CONFLICT (name) DO NOTHING"
    await tx.execute(sql, name=_ADDRESS_KEY_NAME, value=fingerprint)
    row = await tx.row("SELECT value FROM settled WHERE name = :name", name=_ADDRESS_KEY_NAME)
    assert row is not None
    return str(row.value)
