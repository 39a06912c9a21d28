"""SQL of imports: the jobs, the parts of their files that wait, and the results of rows that had their turn."""

from collections.abc import Sequence
from typing import Any, Final, Literal, NamedTuple

import msgspec
from sqlalchemy import Row

from schemas.times import DAY, MINUTE, Instant
from services.bulk_import import row_results
from services.bulk_import.row_formats import RowFormat, RowReader
from services.bulk_import.row_results import RowResult
from services.kit.db.database import Tx
from services.kit.db.owned_jobs import OwnedJobs

MAX_UNFINISHED: Final = 5
"""Imports of one kind that may wait or run at a time, uploads included."""
RETENTION: Final = 30 * DAY
"""Microseconds for which an import that has ended is kept, with its results."""
UPLOAD_TIMEOUT: Final = 5 * MINUTE
"""Microseconds (database time) without a piece of the file after which an upload has broken off."""

ImportState = Literal["receiving", "queued", "running", "checking", "done", "failed", "cancelled"]


class ImportJob(NamedTuple):
    """An import and how far it is. `total`: its rows; `size`: its bytes. `added` would be added in a dry run."""

    id: str
    state: ImportState
    format: RowFormat
    delimiter: str | None
    header: str | None
    dry_run: bool
    size: int
    total: int
    added: int
    existing: int
    refused: int
    requested_by: str
    created: Instant
    started: Instant | None
    finished: Instant | None
    problem: str | None
    waiting: str | None
    probes: bytes | None

    @property
    def rows_read(self) -> int:
        """How many rows have had their turn."""
        return self.added + self.existing + self.refused

    @property
    def reader(self) -> RowReader:
        """How the rows of the file are read."""
        header = () if self.header is None else msgspec.json.decode(self.header, type=tuple[str, ...])
        return RowReader(self.format, self.delimiter, header)


class StoredPart(NamedTuple):
    """A part that waits: its number, and its rows as they are sealed."""

    number: int
    body: bytes


_COLUMNS: Final = ", ".join(ImportJob._fields)


def _to_job(row: Row[Any]) -> ImportJob:
    return ImportJob._make(row)._replace(dry_run=bool(row.dry_run))


class ImportStore:
    """The tables of one kind of import: `<table>`, `<table>_part` and `<table>_result` (see tables.py)."""

    def __init__(self, table: str, rehearsal: str | None = None) -> None:
        """`rehearsal`: a table in which a dry run keeps what it needs until its end, by `import_id`."""
        self.table = table
        self.parts = f"{table}_part"
        self.results = f"{table}_result"
        self.channel = f"{table}_requested"
        """The channel of notifications that import runners listen to."""
        self.jobs = OwnedJobs(table, begun=("running", "checking"))
        self._is_unfinished = f"(state = 'receiving' OR {self.jobs.is_runnable})"
        self._rehearsal = rehearsal

    async def claim_next(self, tx: Tx, owner: str, now: Instant, database_now: Instant) -> ImportJob | None:
        """Claims the oldest import; one whose process has died goes on where it was: its parts that are left have not
        been applied.
        """
        id = await self.jobs.claim_oldest(tx, owner, now, database_now)
        return None if id is None else await self.get_import(tx, id)

    async def is_owned(self, tx: Tx, id: str, owner: str, database_now: Instant, waiting: str | None = None) -> bool:
        """See `OwnedJobs.is_owned`."""
        return await self.jobs.is_owned(tx, id, owner, database_now, waiting)

    async def begin_upload(
        self, tx: Tx, id: str, format: RowFormat, dry_run: bool, by: str, now: Instant, database_now: Instant
    ) -> None:
        """Record an import whose file is being received."""
        await tx.execute(
            f"INSERT INTO {self.table} (id, state, format, dry_run, size, total, added, existing, refused, "
            "requested_by, created, seen) "
            "VALUES (:id, 'receiving', :format, :dry_run, 0, 0, 0, 0, 0, :by, :now, :seen)",
            id=id,
            format=format,
            dry_run=int(dry_run),
            by=by,
            now=now,
            seen=database_now,
        )

    async def count_unfinished(self, tx: Tx) -> int:
        """How many imports have not ended."""
        row = await tx.row(f"SELECT count(*) AS jobs FROM {self.table} WHERE {self._is_unfinished}")
        return 0 if row is None else int(row.jobs)

    async def insert_parts(self, tx: Tx, id: str, parts: Sequence[StoredPart], database_now: Instant) -> bool:
        """Keep parts of a file that is being received; False when it no longer is."""
        sql = f"UPDATE {self.table} SET seen = :seen WHERE id = :id AND state = 'receiving'"
        if not await tx.execute(sql, id=id, seen=database_now):
            return False
        rows = [(id, part.number, part.body) for part in parts]
        await tx.bulk_insert(self.parts, ("import_id", "number", "body"), rows)
        return True

    async def end_upload(self, tx: Tx, id: str, reader: RowReader, size: int, rows: int) -> bool:
        """Queue an import whose file is here; False when it was not being received any more."""
        queued = await tx.execute(
            f"UPDATE {self.table} SET state = 'queued', delimiter = :delimiter, header = :header, size = :size, "
            "total = :rows WHERE id = :id AND state = 'receiving'",
            id=id,
            delimiter=reader.delimiter,
            header=msgspec.json.encode(reader.header).decode() if reader.header else None,
            size=size,
            rows=rows,
        )
        await tx.notify(self.channel)
        return bool(queued)

    async def drop_upload(self, tx: Tx, id: str) -> None:
        """Forget an import whose file was refused, or did not arrive whole."""
        await tx.execute(f"DELETE FROM {self.parts} WHERE import_id = :id", id=id)
        await tx.execute(f"DELETE FROM {self.table} WHERE id = :id AND state = 'receiving'", id=id)

    async def list_broken_uploads(self, tx: Tx, database_now: Instant) -> list[str]:
        """The imports of which no piece has come for a long time."""
        sql = f"SELECT id FROM {self.table} WHERE state = 'receiving' AND seen < :before"
        return [row.id for row in await tx.rows(sql, before=database_now - UPLOAD_TIMEOUT)]

    async def get_import(self, tx: Tx, id: str) -> ImportJob | None:
        """One import."""
        row = await tx.row(f"SELECT {_COLUMNS} FROM {self.table} WHERE id = :id", id=id)
        return None if row is None else _to_job(row)

    async def list_imports(self, tx: Tx, before: tuple[Instant, str] | None, limit: int) -> list[ImportJob]:
        """Imports, newest first; `before`: created and id of the last one of the page before."""
        created, id = before or (2**63 - 1, "")
        rows = await tx.rows(
            f"SELECT {_COLUMNS} FROM {self.table} WHERE created < :created OR (created = :created AND id < :id) "
            "ORDER BY created DESC, id DESC LIMIT :limit",
            created=created,
            id=id,
            limit=limit,
        )
        return [_to_job(row) for row in rows]

    async def get_next_part(self, tx: Tx, id: str) -> StoredPart | None:
        """The first part that has not been applied."""
        sql = f"SELECT number, body FROM {self.parts} WHERE import_id = :id ORDER BY number LIMIT 1"
        row = await tx.row(sql, id=id)
        return None if row is None else StoredPart(row.number, row.body)

    async def delete_part(self, tx: Tx, id: str, number: int) -> bool:
        """Delete a part with the transaction that applies it; False when another process has."""
        sql = f"DELETE FROM {self.parts} WHERE import_id = :id AND number = :number"
        return bool(await tx.execute(sql, id=id, number=number))

    async def record_results(self, tx: Tx, id: str, results: Sequence[RowResult], probes: bytes | None) -> None:
        """Keep the results of a part, count them, and keep which rows the check is to ask about."""
        counts = {outcome: sum(each.outcome == outcome for each in results) for outcome in row_results.OUTCOMES}
        await tx.bulk_insert(
            self.results,
            ("import_id", "first_row", "last_row", "refused", "body"),
            [(id, results[0].row, results[-1].row, counts["refused"], row_results.ENCODER.encode(results))],
        )
        await tx.execute(
            f"UPDATE {self.table} SET added = added + :added, existing = existing + :exists, "
            "refused = refused + :refused, probes = :probes WHERE id = :id",
            id=id,
            probes=probes,
            **counts,
        )

    async def list_results(self, tx: Tx, id: str, after: int, limit: int, *, only_refused: bool) -> list[RowResult]:
        """The results of rows after this one, in the order of the file, as far as there are any."""
        found: list[RowResult] = []
        only = "AND refused > 0" if only_refused else ""
        while len(found) < limit:
            row = await tx.row(
                f"SELECT last_row, body FROM {self.results} WHERE import_id = :id AND last_row > :after {only} "
                "ORDER BY first_row LIMIT 1",
                id=id,
                after=after,
            )
            if row is None:
                break
            results = row_results.DECODER.decode(row.body)
            found += [each for each in results if each.row > after and not (only_refused and each.outcome != "refused")]
            after = row.last_row
        return found[:limit]

    async def begin_check(self, tx: Tx, id: str) -> None:
        """Note that all rows are applied, and what is left is to see that they are in force."""
        await tx.execute(f"UPDATE {self.table} SET state = 'checking' WHERE id = :id AND state = 'running'", id=id)

    async def end_import(self, tx: Tx, id: str, state: ImportState, problem: str | None, now: Instant) -> bool:
        """Ends an import, and deletes what is left of its file; False if it has ended before."""
        ended = await tx.execute(
            f"UPDATE {self.table} SET state = :state, problem = :problem, finished = :now, waiting = NULL, "
            f"owner = NULL, probes = NULL WHERE id = :id AND {self._is_unfinished}",
            state=state,
            problem=problem,
            now=now,
            id=id,
        )
        if ended:
            await tx.execute(f"DELETE FROM {self.parts} WHERE import_id = :id", id=id)
            if self._rehearsal is not None:
                await tx.execute(f"DELETE FROM {self._rehearsal} WHERE import_id = :id", id=id)
        return bool(ended)

    async def delete_old(self, tx: Tx, now: Instant) -> None:
        """Delete the imports that ended long ago, with their results."""
        old = f"SELECT id FROM {self.table} WHERE finished < :before"
        await tx.execute(f"DELETE FROM {self.results} WHERE import_id IN ({old})", before=now - RETENTION)
        await tx.execute(f"DELETE FROM {self.table} WHERE finished < :before", before=now - RETENTION)
