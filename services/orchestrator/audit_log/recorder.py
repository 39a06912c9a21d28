"""Writes the audit log, for all three services: they have one log, so that it has one chain and one end.

An entry is durable before `append` returns. Entries follow one another under the lock of one row. That is no part of
deciding or sending: programs' events and what is sent on them are not entries (schemas/audited_actions.py).
"""

from schemas.audit_log import AuditEntry
from services.kit.db.database import Database
from services.kit.runtime.clock import Clock
from services.orchestrator.audit_log import store

APPEND_SECONDS = 3.0
"""Seconds that the database may take for an entry: the request that is recorded waits for it."""


class AuditRecorder:
    """The audit log in the orchestrator's database; an `AuditTrail`."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def append(self, entry: AuditEntry) -> int:
        """Keeps an entry, and returns its number once it is durable. Raises Transient."""
        async with self._database.answering_within(APPEND_SECONDS), self._database.write() as tx:
            record = await store.append_entry(tx, entry, self._clock.now())
        return record.seq
