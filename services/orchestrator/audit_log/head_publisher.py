"""Publishes signed heads of the audit log: how many entries there are, with the digest of the last one.

A head leaves the database, as a line of the process's log and, where a file is set, as a line of that file. Who
rewrites the database afterwards cannot rewrite those, and cannot sign others without the key.
"""

import asyncio
import os
from pathlib import Path

import msgspec

from schemas.audit_log import AuditHead
from services.kit.audit_signature import HeadKey
from services.kit.db.database import Database
from services.kit.observability.logs import log, log_error
from services.kit.runtime.clock import Clock
from services.orchestrator.audit_log import store

PUBLISH_SECONDS = 3600.0


class HeadPublisher:
    """Signs the head of the log with `key`, every PUBLISH_SECONDS. `file`: where heads are written besides, or None."""

    def __init__(self, database: Database, clock: Clock, key: HeadKey, file: Path | None) -> None:
        self._database = database
        self._clock = clock
        self._key = key
        self._file = file

    async def publish_head(self) -> AuditHead | None:
        """Signs and publishes the head; None if nothing was added since the last one. Raises Transient."""
        async with self._database.read() as tx:
            last = await store.get_last_record(tx)
            if last is None or await store.has_head(tx, last.seq):
                return None
        head = self._key.sign(last.seq, last.digest, self._clock.now())
        log("audit_head", head=msgspec.to_builtins(head))
        if self._file is not None:
            try:
                await asyncio.to_thread(_append_line, self._file, msgspec.json.encode(head))
            except OSError as error:
                log_error("audit_head_not_in_file", error)
        async with self._database.write() as tx:
            await store.insert_head(tx, head)
        return head


def _append_line(path: Path, line: bytes) -> None:
    """Adds a line to a file that its owner alone may write. Raises OSError."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o640)
    try:
        os.write(descriptor, line + b"\n")
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
