"""SQL of the tables `erasure` and `erased_rows`. The caller owns the transaction."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from schemas.times import Instant
from services.kit.db.database import Tx

_COLUMNS = "pseudonym, customer, requested, recorded, finished, rows, address_hashes"


class Erasure(NamedTuple):
    """One customer's erasure in this service. `rows`: how many rows were removed or made anonymous so far."""

    pseudonym: str
    customer: str | None
    requested: Instant
    recorded: Instant
    finished: Instant | None
    rows: int
    address_hashes: bytes | None

    @property
    def hashes(self) -> tuple[str, ...]:
        """The keyed hashes of the addresses that were known of the customer."""
        return () if self.address_hashes is None else msgspec.json.decode(self.address_hashes, type=tuple[str, ...])


async def begin_erasure(
    tx: Tx, pseudonym: str, customer: str, requested: Instant, address_hashes: Iterable[str] | None = None
) -> bool:
    """Record that this customer is erased from now on; False if that is known already."""
    return bool(
        await tx.execute(
            "INSERT INTO erasure (pseudonym, customer, requested, recorded, rows, address_hashes) "
            "VALUES (:pseudonym, :customer, :requested, :recorded, 0, :hashes) ON CONFLICT (pseudonym) DO NOTHING",
            pseudonym=pseudonym,
            customer=customer,
            requested=requested,
            recorded=await tx.now(),
            hashes=None if address_hashes is None else msgspec.json.encode(sorted(set(address_hashes))),
        )
    )


async def find_erased(tx: Tx, pseudonyms: Collection[str]) -> set[str]:
    """Those of the pseudonyms that stand for erased customers."""
    if not pseudonyms:
        return set()
    rows = await tx.rows(
        f"SELECT pseudonym FROM erasure WHERE {tx.in_list('pseudonym', 'wanted')}",
        wanted=tx.list_parameter(list(pseudonyms)),
    )
    return {row.pseudonym for row in rows}


async def load_erasures(tx: Tx, pseudonyms: Sequence[str]) -> dict[str, Erasure]:
    """The erasures of these customers; one who is not erased is absent."""
    rows = await tx.rows(
        f"SELECT {_COLUMNS} FROM erasure WHERE {tx.in_list('pseudonym', 'wanted')}",
        wanted=tx.list_parameter(list(pseudonyms)),
    )
    return {row.pseudonym: Erasure._make(row) for row in rows}


async def list_unfinished(tx: Tx, limit: int) -> list[str]:
    """The pseudonyms whose data are not all removed, oldest first."""
    rows = await tx.rows(
        "SELECT pseudonym FROM erasure WHERE finished IS NULL ORDER BY recorded LIMIT :limit", limit=limit
    )
    return [row.pseudonym for row in rows]


async def list_finished(tx: Tx) -> set[str]:
    """The pseudonyms of all customers whose data are removed."""
    return {row.pseudonym for row in await tx.rows("SELECT pseudonym FROM erasure WHERE finished IS NOT NULL")}


async def lock_unfinished(tx: Tx, pseudonym: str) -> Erasure | None:
    """The erasure, locked for this transaction; None when it is finished, or another process works at it now."""
    skip = f"{tx.for_update} SKIP LOCKED" if tx.for_update else ""
    row = await tx.row(
        f"SELECT {_COLUMNS} FROM erasure WHERE pseudonym = :pseudonym AND finished IS NULL {skip}", pseudonym=pseudonym
    )
    return None if row is None else Erasure._make(row)


async def count_rows(tx: Tx, pseudonym: str, rows: Mapping[str, int]) -> None:
    """Add to the numbers of rows that were removed or made anonymous, by table."""
    changed = {table: count for table, count in sorted(rows.items()) if count > 0}
    if not changed:
        return
    await _add_rows(tx, pseudonym, changed)
    await tx.execute(
        "UPDATE erasure SET rows = rows + :rows WHERE pseudonym = :p", rows=sum(changed.values()), p=pseudonym
    )


async def _add_rows(tx: Tx, pseudonym: str, rows: Mapping[str, int]) -> None:
    now = await tx.now()
    for table, count in rows.items():
        await tx.execute(
            "INSERT INTO erased_rows (pseudonym, store, rows, at) VALUES (:pseudonym, :store, :rows, :now) "
            "ON CONFLICT (pseudonym, store) DO UPDATE SET rows = erased_rows.rows + excluded.rows, at = excluded.at "
            "WHERE excluded.rows > 0",
            pseudonym=pseudonym,
            store=table,
            rows=count,
            now=now,
        )


class ErasedRows(NamedTuple):
    """What was recorded of one table: how many rows, and when the last of them was changed."""

    rows: int
    at: Instant


async def load_rows(tx: Tx, pseudonyms: Sequence[str]) -> dict[str, dict[str, ErasedRows]]:
    """By pseudonym and table."""
    found: dict[str, dict[str, ErasedRows]] = {}
    for row in await tx.rows(
        f"SELECT pseudonym, store, rows, at FROM erased_rows WHERE {tx.in_list('pseudonym', 'wanted')}",
        wanted=tx.list_parameter(list(pseudonyms)),
    ):
        found.setdefault(row.pseudonym, {})[row.store] = ErasedRows(row.rows, row.at)
    return found


async def finish_erasure(tx: Tx, pseudonym: str, tables: Iterable[str] = ()) -> None:
    """Record the end of the work, and that nothing is left in these tables; the plain id is not needed any more."""
    await _add_rows(tx, pseudonym, dict.fromkeys(tables, 0))
    await tx.execute(
        "UPDATE erasure SET finished = :now, customer = NULL WHERE pseudonym = :pseudonym",
        now=await tx.now(),
        pseudonym=pseudonym,
    )
