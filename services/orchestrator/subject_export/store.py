"""SQL of exports. The caller owns the transaction."""

from collections.abc import Sequence
from typing import Any, Final, Literal, NamedTuple

from sqlalchemy import Row

from schemas.times import SECOND, Instant
from services.kit.db.database import Tx

EXPORT_REQUESTED: Final = "subject_export_requested"
ABANDONED: Final = 60 * SECOND
"""Microseconds without a sign of life after which another process begins an export anew."""
MOST_WAITING: Final = 20
_COLUMNS: Final = "id, customer, state, requested_by, created, finished, error"

ExportState = Literal["queued", "running", "done", "failed"]


class SubjectExport(NamedTuple):
    """One export. `error`: why there is none."""

    id: str
    customer: str
    state: ExportState
    requested_by: str
    created: Instant
    finished: Instant | None
    error: str | None


async def insert_export(tx: Tx, id: str, customer: str, requested_by: str, now: Instant) -> bool:
    """Queue an export; False if too many wait already."""
    row = await tx.row("SELECT count(*) AS n FROM subject_export WHERE state IN ('queued', 'running')")
    if row is not None and row.n >= MOST_WAITING:
        return False
    await tx.execute(
        "INSERT INTO subject_export (id, customer, state, requested_by, created, seen) "
        "VALUES (:id, :customer, 'queued', :by, :now, 0)",
        id=id,
        customer=customer,
        by=requested_by,
        now=now,
    )
    await tx.notify(EXPORT_REQUESTED)
    return True


async def get_export(tx: Tx, customer: str, id: str) -> SubjectExport | None:
    """An export of this customer."""
    row = await tx.row(
        f"SELECT {_COLUMNS} FROM subject_export WHERE id = :id AND customer = :customer", id=id, customer=customer
    )
    return None if row is None else SubjectExport._make(row)


async def claim_next(tx: Tx, owner: str) -> SubjectExport | None:
    """Take the next export, without the pages that somebody who has died has left."""
    now = await tx.now()
    row = await tx.row(
        "SELECT id FROM subject_export WHERE state = 'queued' OR (state = 'running' AND seen < :abandoned) "
        f"ORDER BY created, id LIMIT 1 {tx.for_update}",
        abandoned=now - ABANDONED,
    )
    if row is None:
        return None
    await tx.execute(
        "UPDATE subject_export SET state = 'running', owner = :owner, seen = :now WHERE id = :id",
        owner=owner,
        now=now,
        id=row.id,
    )
    await tx.execute("DELETE FROM subject_export_part WHERE export = :id", id=row.id)
    claimed = await tx.row(f"SELECT {_COLUMNS} FROM subject_export WHERE id = :id", id=row.id)
    return None if claimed is None else SubjectExport._make(claimed)


async def hold_claim(tx: Tx, id: str, owner: str) -> bool:
    """Give a sign of life, and lock the export; False if it is gone, or another process has it."""
    return bool(
        await tx.execute(
            "UPDATE subject_export SET seen = :now WHERE id = :id AND owner = :owner AND state = 'running'",
            now=await tx.now(),
            id=id,
            owner=owner,
        )
    )


async def insert_part(tx: Tx, export: SubjectExport, number: int, at: Instant, **page: Any) -> None:
    """Keep one page: `service`, `section`, `title`, `rows`, `body`."""
    await tx.execute(
        "INSERT INTO subject_export_part (export, number, customer, service, section, title, rows, at, body) "
        "VALUES (:export, :number, :customer, :service, :section, :title, :rows, :at, :body)",
        export=export.id,
        number=number,
        customer=export.customer,
        at=at,
        **page,
    )


async def finish(tx: Tx, id: str, now: Instant, error: str | None) -> None:
    """End an export. One that has failed keeps no pages."""
    await tx.execute(
        "UPDATE subject_export SET state = :state, finished = :now, error = :error WHERE id = :id",
        state="done" if error is None else "failed",
        now=now,
        error=error,
        id=id,
    )
    if error is not None:
        await tx.execute("DELETE FROM subject_export_part WHERE export = :id", id=id)


async def load_part(tx: Tx, id: str, number: int) -> Row[Any] | None:
    """One page of an export, by its number from 0 on."""
    return await tx.row(
        "SELECT service, section, title, body FROM subject_export_part WHERE export = :id AND number = :number",
        id=id,
        number=number,
    )


async def count_rows(tx: Tx, id: str) -> Sequence[Row[Any]]:
    """How many rows an export has, by service and section."""
    return await tx.rows(
        "SELECT service, section, sum(rows) AS rows FROM subject_export_part WHERE export = :id "
        "GROUP BY service, section ORDER BY service, section",
        id=id,
    )
