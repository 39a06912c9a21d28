"""Which adapters get nothing, or less, from some process, as rows in the database: what people look at.

Each process notes its own every few seconds, while there is any. A row that was not renewed is of a process that has
ended.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from schemas.times import SECOND, Instant
from services.kit.db.database import Database, Tx
from services.orchestrator.delivery.adapter_health import AdapterHealth

NOTE_INTERVAL = 3.0
"""Seconds between two looks at one's own adapters."""
FORGOTTEN_AFTER = 15 * SECOND
"""So long without being renewed, a row says nothing any more."""


class Trouble(NamedTuple):
    """What one process says of an adapter. `until`: when it is tried again."""

    adapter: str
    circuit: str
    cause: str
    until: Instant


class TroubleNotes:
    """What this process, the `owner`, has seen of its adapters."""

    def __init__(self, database: Database, health: Mapping[str, AdapterHealth], owner: str) -> None:
        self._database = database
        self._health = health
        self._owner = owner
        self._has_rows = False

    async def note(self) -> None:
        """Write what is wrong, and take back what is mended."""
        reports = {name: report for name, each in self._health.items() if (report := each.report()).cause is not None}
        if not reports and not self._has_rows:
            return
        async with self._database.write() as tx:
            now = await tx.now()
            await tx.execute("DELETE FROM adapter_trouble WHERE owner = :owner", owner=self._owner)
            rows = [
                (name, self._owner, report.circuit, report.cause, now + int(report.wait * SECOND), now)
                for name, report in reports.items()
            ]
            await tx.bulk_insert("adapter_trouble", ("adapter", "owner", "circuit", "cause", "until", "noted"), rows)
            await tx.execute("DELETE FROM adapter_trouble WHERE noted < :before", before=now - 4 * FORGOTTEN_AFTER)
        self._has_rows = bool(rows)


async def load_troubles(tx: Tx) -> Sequence[Trouble]:
    """What the processes that live say now."""
    now = await tx.now()
    rows = await tx.rows(
        "SELECT adapter, circuit, cause, until FROM adapter_trouble WHERE noted >= :since ORDER BY adapter, owner",
        since=now - FORGOTTEN_AFTER,
    )
    return [Trouble._make(row) for row in rows]
