"""Takes the file of an import as a stream, and keeps it in sealed parts until they are applied."""

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator
from typing import Final

from services.bulk_import.import_store import MAX_UNFINISHED, ImportJob, ImportStore, StoredPart
from services.bulk_import.part_splitter import PartSplitter
from services.bulk_import.row_formats import FileRefused, RowFormat, RowLayout
from services.bulk_import.sealed_parts import PartSeal
from services.kit.db.database import Database
from services.kit.errors import Conflict, Invalid, Problem, TooLarge, Transient
from services.kit.runtime.clock import Clock

MAX_IMPORT_BYTES: Final = 256 * 1024 * 1024
"""Bytes of one file: room for more than a million rows."""
MAX_IMPORT_ROWS: Final = 2_000_000
_PARTS_A_WRITE: Final = 8


class TooManyImports(Conflict):
    """So many imports wait or run that no other is taken."""

    default_code = "too_many_imports"


class ImportUpload:
    """Receives files, one import each."""

    def __init__(self, database: Database, store: ImportStore, layout: RowLayout, seal: PartSeal, clock: Clock) -> None:
        self._database = database
        self._store = store
        self._layout = layout
        self._seal = seal
        self._clock = clock

    async def receive(self, pieces: AsyncIterator[bytes], format: RowFormat, dry_run: bool, by: str) -> ImportJob:
        """The import of a file, queued once the file is here.

        Raises TooManyImports, TooLarge, Invalid for a file that is not of the format or has no row. Of a file that is
        not taken, or does not arrive whole, nothing is kept.
        """
        id = await self._begin(format, dry_run, by)
        try:
            return await self._receive(id, pieces, PartSplitter(format, self._layout))
        except FileRefused as error:
            await asyncio.shield(self._drop(id))
            raise Invalid(
                "the file cannot be taken; see errors.", errors=[Problem("", error.code, str(error))]
            ) from None
        except BaseException:
            with contextlib.suppress(Transient):  # then the runner does, some minutes later
                await asyncio.shield(self._drop(id))
            raise

    async def _begin(self, format: RowFormat, dry_run: bool, by: str) -> str:
        now, database_now = self._clock.now(), await self._database.now()
        id = f"imp_{max(now, 0):014x}{secrets.token_hex(6)}"
        async with self._database.write() as tx:
            if await self._store.count_unfinished(tx) >= MAX_UNFINISHED:
                raise TooManyImports(
                    f"{MAX_UNFINISHED} imports have not ended yet: wait for one, or cancel one "
                    "(GET on this path lists them)"
                )
            await self._store.begin_upload(tx, id, format, dry_run, by, now, database_now)
        return id

    async def _receive(self, id: str, pieces: AsyncIterator[bytes], splitter: PartSplitter) -> ImportJob:
        size, number, waiting = 0, 0, list[StoredPart]()
        async for piece in pieces:
            size += len(piece)
            if size > MAX_IMPORT_BYTES:
                raise TooLarge(f"the file is larger than {MAX_IMPORT_BYTES:,} bytes: send it in several")
            for rows in splitter.feed(piece):
                waiting.append(StoredPart(number, self._seal.seal(id, number, rows)))
                number += 1
                if len(waiting) == _PARTS_A_WRITE:
                    await self._keep_parts(id, waiting)
                    waiting = []
            if splitter.rows > MAX_IMPORT_ROWS:
                raise TooLarge(f"the file has more than {MAX_IMPORT_ROWS:,} rows: send it in several")
        for rows in splitter.finish():
            waiting.append(StoredPart(number, self._seal.seal(id, number, rows)))
            number += 1
        if not splitter.rows or splitter.reader is None:
            raise FileRefused("empty", "the file has no row: send at least one row, in CSV below a line of columns")
        await self._keep_parts(id, waiting)
        async with self._database.write() as tx:
            queued = await self._store.end_upload(tx, id, splitter.reader, size, splitter.rows)
            job = await self._store.get_import(tx, id)
        if not queued or job is None:
            raise UploadEnded
        return job

    async def _keep_parts(self, id: str, parts: list[StoredPart]) -> None:
        database_now = await self._database.now()
        async with self._database.write() as tx:
            if not await self._store.insert_parts(tx, id, parts, database_now):
                raise UploadEnded

    async def _drop(self, id: str) -> None:
        async with self._database.write() as tx:
            await self._store.drop_upload(tx, id)


class UploadEnded(Conflict):
    """The import was cancelled while its file was on the way, or too long nothing of it came."""

    default_code = "upload_ended"

    def __init__(self) -> None:
        super().__init__("this import was cancelled, or no piece of its file came for five minutes: send it again")
