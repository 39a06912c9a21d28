"""Runs imports, one at a time: applies their parts, sees that the rows are in force, and only then says `done`.

A part is applied in one transaction with its results, its counts and its deletion. So whatever kills the process, no
row is applied twice or left out, and another process goes on with the next part.
"""

import asyncio
import contextlib
import os
import secrets
import time
from collections.abc import Callable, Sequence
from typing import Final

from cryptography.exceptions import InvalidTag

from schemas.documents import DocumentError
from services.kit.db.database import Database, Tx
from services.kit.errors import Transient
from services.kit.observability.logs import log
from services.kit.runtime.clock import Clock
from services.kit.runtime.loop_share import LoopShare
from services.kit.runtime.periodic import sleep_unless_set, wait_for_any
from services.suppression.api.forms import parse_suppression
from services.suppression.entry_registration import AddResult, HashedSuppression, SuppressionList
from services.suppression.imports import import_store, live_check, row_results
from services.suppression.imports.import_store import ImportJob, ImportState, StoredPart
from services.suppression.imports.live_check import AskFacts
from services.suppression.imports.part_splitter import PartRow
from services.suppression.imports.rehearsal import rehearse_documents
from services.suppression.imports.row_formats import RowReader
from services.suppression.imports.row_results import RowResult
from services.suppression.imports.sealed_parts import PartSeal
from services.suppression.metrics import SuppressionMetrics
from services.suppression.suppression_enforcement import EVERY_ATTEMPT, SuppressionEnforcer

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


class ImportRunner:
    """Takes imports from the queue. Several processes may run it: each import is owned by one of them."""

    def __init__(
        self,
        database: Database,
        suppression_list: SuppressionList,
        seal: PartSeal,
        clock: Clock,
        metrics: SuppressionMetrics,
        enforcer: SuppressionEnforcer,
        ask_facts: AskFacts,
        fingerprint: str,
        count_questions: Callable[[], int],
    ) -> None:
        """`ask_facts`: the question that decisions ask; `fingerprint`: of the address key; `count_questions`: how many
        of these questions there were so far.
        """
        self._database = database
        self._suppression_list = suppression_list
        self._seal = seal
        self._clock = clock
        self._metrics = metrics
        self._enforcer = enforcer
        self._ask_facts = ask_facts
        self._fingerprint = fingerprint
        self._count_questions = count_questions
        self._requested_signal = database.notifications.listen(import_store.IMPORT_REQUESTED)
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
            for id in await import_store.list_broken_uploads(tx, database_now):
                log("upload_broke_off", level="warning", import_id=id)
                await import_store.drop_upload(tx, id)
            await import_store.delete_old(tx, self._clock.now())

    async def run_next(self, stop: asyncio.Event) -> bool:
        """Runs the next import, to its end if it is not stopped. Returns whether there was one. Raises Transient."""
        async with self._database.read() as tx:
            if not await import_store.has_runnable(tx):
                return False
        database_now = await self._database.now()
        async with self._database.write() as tx:
            job = await import_store.claim_next(tx, self._owner, self._clock.now(), database_now)
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
                    await import_store.release_owner(tx, job.id, self._owner)
        return True

    async def _apply_parts(self, job: ImportJob, stop: asyncio.Event) -> bool:
        """Whether all parts are applied: not when it is stopped, or the import is no longer ours."""
        asked = self._count_questions()
        while not stop.is_set():
            began = time.monotonic()
            async with self._database.read() as tx:
                part = await import_store.get_next_part(tx, job.id)
            if part is None:
                return await self._begin_check(job)
            try:
                rows = self._seal.open(job.id, part.number, part.body)
            except InvalidTag:
                await self._end(job, "failed", "the kept file cannot be opened: it was changed. Import it again")
                return False
            if not await self._apply_part(job, part, rows):
                return False
            is_busy = asked != (asked := self._count_questions())
            share = BUSY_REST_SHARE if is_busy else REST_SHARE
            await sleep_unless_set(stop, min(share * (time.monotonic() - began), LONGEST_REST))
        return False

    async def _apply_part(self, job: ImportJob, part: StoredPart, rows: Sequence[PartRow]) -> bool:
        results, documents = await self._read_rows(job, rows)
        valid = [(index, each) for index, each in enumerate(documents) if each is not None]
        database_now = await self._database.now()
        async with self._database.write() as tx:
            if not await import_store.is_owned(tx, job.id, self._owner, database_now):
                return False
            if not await import_store.delete_part(tx, job.id, part.number):
                return True
            current = await import_store.get_import(tx, job.id)
            sample = live_check.unpack(None if current is None else current.probes)
            added = await self._add(tx, job, [each for _, each in valid])
            taken = 0
            for (index, document), result in zip(valid, added, strict=True):
                number = rows[index].number
                if result.status == "erased":
                    results[index] = row_results.refuse_erased(number)
                    continue
                results[index] = RowResult(number, result.status, result.id)
                if not taken:
                    sample.count_part(live_check.make_probe(number, document))
                taken += 1
            done = [each for each in results if each is not None]
            await import_store.record_results(tx, job.id, done, live_check.pack(sample))
        for each in done:
            self._metrics.imported_rows(each.outcome).inc()
        return True

    async def _read_rows(
        self, job: ImportJob, rows: Sequence[PartRow]
    ) -> tuple[list[RowResult | None], list[HashedSuppression | None]]:
        """The results of rows that are refused, and the documents of the others."""
        reader, share = job.reader, LoopShare()
        results: list[RowResult | None] = [None for _ in rows]
        documents: list[HashedSuppression | None] = [None for _ in rows]
        for index, row in enumerate(rows):
            await share.give_turn_if_due()  # to read and hash an address takes 0.1 ms
            found = self._read_row(job, reader, row)
            if isinstance(found, RowResult):
                results[index] = found
            else:
                documents[index] = found
        return results, documents

    def _read_row(self, job: ImportJob, reader: RowReader, row: PartRow) -> RowResult | HashedSuppression:
        if row.line is None:
            return row_results.refuse_long(row.number)
        plain: object = None
        try:
            plain = reader.read_line(row.line)
            if isinstance(plain, dict):
                plain = {"source": f"import {job.id}", **plain}
            # An entry without `at` holds from the beginning of the import, whenever its turn comes.
            return self._suppression_list.hash_document(parse_suppression(plain, job.created))
        except DocumentError as error:
            return row_results.refuse_row(row.number, plain, error)

    async def _add(self, tx: Tx, job: ImportJob, documents: Sequence[HashedSuppression]) -> list[AddResult]:
        if job.dry_run:
            return await rehearse_documents(tx, self._suppression_list, job.id, documents, job.created)
        return await self._suppression_list.add_documents(tx, documents, job.requested_by, self._clock.now())

    async def _begin_check(self, job: ImportJob) -> bool:
        database_now = await self._database.now()
        async with self._database.write() as tx:
            if not await import_store.is_owned(tx, job.id, self._owner, database_now):
                return False
            await import_store.begin_check(tx, job.id)
        return True

    async def _check_in_force(self, job: ImportJob, stop: asyncio.Event) -> None:
        """Ends the import: `done` once no message that it forbids can be sent, `failed` when a row is not in force."""
        if job.dry_run:
            await self._end(job, "done", None)
            return
        async with self._database.read() as tx:
            current = await import_store.get_import(tx, job.id)
        if current is None:
            return
        probes = live_check.unpack(current.probes).probes
        missing = await live_check.find_missing(self._ask_facts, self._fingerprint, probes)
        if missing:
            rows = ", ".join(map(str, missing[:5]))
            problem = (
                f"{len(missing)} of {len(probes)} rows that were asked about are not in force, such as row {rows}: "
                "somebody has removed their entries meanwhile, or the database has lost them. Import the file again"
            )
            await self._end(job, "failed", problem)
            return
        while probes and not stop.is_set():
            if (await self._enforcer.enforce([EVERY_ATTEMPT], "suppression")).enforced:
                break
            database_now = await self._database.now()
            async with self._database.write() as tx:
                waiting = "messages that were being handed over before the last row was applied are not through yet"
                if not await import_store.is_owned(tx, job.id, self._owner, database_now, waiting):
                    return
            await sleep_unless_set(stop, RETRY_INTERVAL)
        if not stop.is_set():
            await self._end(job, "done", None)

    async def _end(self, job: ImportJob, state: ImportState, problem: str | None) -> None:
        async with self._database.write() as tx:
            ended = await import_store.end_import(tx, job.id, state, problem, self._clock.now())
        if ended:
            self._metrics.imports(state).inc()
            log("import_ended", level="error" if state == "failed" else "info", import_id=job.id, state=state)
