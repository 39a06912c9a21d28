"""Runs imports of one kind, one at a time: applies their parts, sees that the rows are in force, and then says `done`.

A part is applied in one transaction with its results, its counts and its deletion. So whatever kills the process, no
row is applied twice or left out, and another process goes on with the next part.
"""

import asyncio
import contextlib
import os
import secrets
import time
from collections.abc import Sequence
from typing import Final, Generic

from cryptography.exceptions import InvalidTag

from schemas.documents import DocumentError
from services.bulk_import import row_results
from services.bulk_import.import_steps import Document, ImportSteps
from services.bulk_import.import_store import ImportJob, ImportState, ImportStore, StoredPart
from services.bulk_import.part_splitter import PartRow
from services.bulk_import.row_formats import RowReader
from services.bulk_import.row_results import RowResult
from services.bulk_import.sealed_parts import PartSeal
from services.kit.db.database import Database
from services.kit.errors import Transient
from services.kit.observability.logs import log
from services.kit.runtime.clock import Clock
from services.kit.runtime.loop_share import LoopShare
from services.kit.runtime.periodic import sleep_unless_set, wait_for_any

IDLE_INTERVAL: Final = 5.0
"""Seconds between two looks for an import that nobody has notified, as one whose process has died."""
RETRY_INTERVAL: Final = 2.0
REST_SHARE: Final = 0.1
BUSY_REST_SHARE: Final = 9.0
"""Seconds of rest after a part, for each second that it took; the second while this process is asked for facts:
decisions need the same database and processor, and an import has time (tests/bench/suppression_import.py)."""
LONGEST_REST: Final = 5.0
"""Seconds; well below the time after which an import counts as abandoned."""
HOUSEKEEPING_SECONDS: Final = 60.0


class ImportRunner(Generic[Document]):
    """Takes imports from the queue. Several processes may run it: each import is owned by one of them."""

    def __init__(
        self, database: Database, store: ImportStore, steps: ImportSteps[Document], seal: PartSeal, clock: Clock
    ) -> None:
        self._database = database
        self._store = store
        self._steps = steps
        self._seal = seal
        self._clock = clock
        self._requested_signal = database.notifications.listen(store.channel)
        self._owner = f"{os.uname().nodename}:{os.getpid()}:{secrets.token_hex(4)}"

    async def run_until_stopped(self, stop: asyncio.Event) -> None:
        """Runs imports until stopped."""
        while not stop.is_set():
            requested = self._requested_signal.next_event()
            try:
                found = await self.run_next(stop)
            except Transient as error:
                log("import_waits", level="warning", reason=error.code)
                found = False
            if not found:
                await wait_for_any(IDLE_INTERVAL, requested, stop)

    async def tidy_up(self) -> None:
        """Drops uploads that have broken off, and deletes what ended long ago. Raises Transient."""
        database_now = await self._database.now()
        async with self._database.write() as tx:
            for id in await self._store.list_broken_uploads(tx, database_now):
                log("upload_broke_off", level="warning", import_id=id)
                await self._store.drop_upload(tx, id)
            await self._store.delete_old(tx, self._clock.now())

    async def run_next(self, stop: asyncio.Event) -> bool:
        """Runs the next import, to its end if it is not stopped. Returns whether there was one. Raises Transient."""
        async with self._database.read() as tx:
            if not await self._store.jobs.has_runnable(tx):
                return False
        database_now = await self._database.now()
        async with self._database.write() as tx:
            job = await self._store.claim_next(tx, self._owner, self._clock.now(), database_now)
        if job is None:
            return False
        log(
            "import_started", import_id=job.id, rows=job.total, read=job.rows_read, by=job.requested_by, dry=job.dry_run
        )
        try:
            if await self._apply_parts(job, stop):
                await self._check_in_force(job, stop)
        finally:
            with contextlib.suppress(Transient):
                async with self._database.write() as tx:
                    await self._store.jobs.release(tx, job.id, self._owner)
        return True

    async def _apply_parts(self, job: ImportJob, stop: asyncio.Event) -> bool:
        """Whether all parts are applied: not when it is stopped, or the import is no longer ours."""
        asked = self._steps.count_questions()
        while not stop.is_set():
            began = time.monotonic()
            async with self._database.read() as tx:
                part = await self._store.get_next_part(tx, job.id)
            if part is None:
                return await self._begin_check(job)
            try:
                rows = self._seal.open(job.id, part.number, part.body)
            except InvalidTag:
                await self._end(job, "failed", "the kept file cannot be opened: it was changed. Import it again")
                return False
            if not await self._apply_part(job, part, rows):
                return False
            is_busy = asked != (asked := self._steps.count_questions())
            share = BUSY_REST_SHARE if is_busy else REST_SHARE
            await sleep_unless_set(stop, min(share * (time.monotonic() - began), LONGEST_REST))
        return False

    async def _apply_part(self, job: ImportJob, part: StoredPart, rows: Sequence[PartRow]) -> bool:
        """Whether the import is still ours."""
        refused, documents = await self._read_rows(job, rows)
        database_now = await self._database.now()
        async with self._database.write() as tx:
            if not await self._store.is_owned(tx, job.id, self._owner, database_now):
                return False
            if not await self._store.delete_part(tx, job.id, part.number):
                return True
            current = await self._store.get_import(tx, job.id)
            applied = await self._steps.apply(tx, job if current is None else current, documents)
            results = sorted([*refused, *applied.results], key=lambda result: result.row)
            await self._store.record_results(tx, job.id, results, applied.probes)
        self._steps.count_imported_rows(results)
        return True

    async def _read_rows(
        self, job: ImportJob, rows: Sequence[PartRow]
    ) -> tuple[list[RowResult], list[tuple[int, Document]]]:
        """The results of rows that are refused, and the documents of the others."""
        reader, share = job.reader, LoopShare()
        refused: list[RowResult] = []
        documents: list[tuple[int, Document]] = []
        for row in rows:
            await share.give_turn_if_due()  # to read and hash an address takes 0.1 ms
            found = self._read_row(job, reader, row)
            if isinstance(found, RowResult):
                refused.append(found)
            else:
                documents.append((row.number, found))
        return refused, documents

    def _read_row(self, job: ImportJob, reader: RowReader, row: PartRow) -> RowResult | Document:
        if row.line is None:
            return row_results.refuse_long(row.number)
        plain: object = None
        try:
            plain = reader.read_line(row.line, self._steps.layout)
            return self._steps.read_row(job, plain)
        except DocumentError as error:
            return row_results.refuse_row(row.number, plain, error, self._steps.layout)

    async def _begin_check(self, job: ImportJob) -> bool:
        database_now = await self._database.now()
        async with self._database.write() as tx:
            if not await self._store.is_owned(tx, job.id, self._owner, database_now):
                return False
            await self._store.begin_check(tx, job.id)
        return True

    async def _check_in_force(self, job: ImportJob, stop: asyncio.Event) -> None:
        """Ends the import: `done` once it is in force for every message, `failed` when a row is not in force."""
        if job.dry_run:
            await self._end(job, "done", None)
            return
        async with self._database.read() as tx:
            current = await self._store.get_import(tx, job.id)
        if current is None:
            return
        if (problem := await self._steps.find_loss(current)) is not None:
            await self._end(job, "failed", problem)
            return
        while not stop.is_set():
            if (waiting := await self._steps.find_waiting(current)) is None:
                await self._end(job, "done", None)
                return
            database_now = await self._database.now()
            async with self._database.write() as tx:
                if not await self._store.is_owned(tx, job.id, self._owner, database_now, waiting):
                    return
            await sleep_unless_set(stop, RETRY_INTERVAL)

    async def _end(self, job: ImportJob, state: ImportState, problem: str | None) -> None:
        async with self._database.write() as tx:
            ended = await self._store.end_import(tx, job.id, state, problem, self._clock.now())
        if ended:
            self._steps.count_end(state)
            log("import_ended", level="error" if state == "failed" else "info", import_id=job.id, state=state)
