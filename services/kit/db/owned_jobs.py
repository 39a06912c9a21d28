"""Jobs that processes run one at a time, each owned by one process: claim, sign of life, release.

Such a table has the columns `id state owner seen waiting created started`. An owner that has given no sign of life for
OWNER_TIMEOUT is taken for dead, and the next process that asks goes on with its job. All instants named `seen` are the
database's, so that clocks of machines need not agree.
"""

from typing import Final, NamedTuple

from schemas.times import SECOND, Instant
from services.kit.db.database import Tx

OWNER_TIMEOUT: Final = 15 * SECOND
"""Microseconds (database time) without a sign of life after which another process goes on with the job."""


class OwnedJobs(NamedTuple):
    """A table of such jobs. `begun`: the states in which a process may be at work, besides `queued`."""

    table: str
    begun: tuple[str, ...] = ("running",)

    @property
    def is_runnable(self) -> str:
        """The condition for jobs that wait or run."""
        return f"state IN ({', '.join(repr(state) for state in ('queued', *self.begun))})"

    async def has_runnable(self, tx: Tx) -> bool:
        """Whether a job waits or runs. Cheap, so that idle processes may ask often."""
        return await tx.row(f"SELECT 1 FROM {self.table} WHERE {self.is_runnable} LIMIT 1") is not None

    async def claim_oldest(self, tx: Tx, owner: str, now: Instant, database_now: Instant) -> str | None:
        """Claims the oldest job, unless another process is at work on one; its id. One whose process has died is
        claimed as it is: whoever runs it goes on where it was.
        """
        rows = await tx.rows(
            f"SELECT id, owner, seen FROM {self.table} WHERE {self.is_runnable} ORDER BY created, id {tx.for_update}"
        )
        if not rows or any(row.owner not in (None, owner) and row.seen > database_now - OWNER_TIMEOUT for row in rows):
            return None
        id = str(rows[0].id)
        await tx.execute(
            f"UPDATE {self.table} SET state = CASE state WHEN 'queued' THEN 'running' ELSE state END, "
            "owner = :owner, seen = :seen, started = coalesce(started, :now) WHERE id = :id",
            owner=owner,
            seen=database_now,
            now=now,
            id=id,
        )
        return id

    async def is_owned(self, tx: Tx, id: str, owner: str, database_now: Instant, waiting: str | None) -> bool:
        """Gives a sign of life, under a lock of the job, and tells what it waits for. False if it has ended, or is
        another process's now.
        """
        begun = ", ".join(repr(state) for state in self.begun)
        sql = (
            f"UPDATE {self.table} SET seen = :seen, waiting = :waiting "
            f"WHERE id = :id AND owner = :owner AND state IN ({begun})"
        )
        return bool(await tx.execute(sql, seen=database_now, waiting=waiting, id=id, owner=owner))

    async def release(self, tx: Tx, id: str, owner: str) -> None:
        """Lets another process go on with the job at once, because this one stops."""
        await tx.execute(f"UPDATE {self.table} SET owner = NULL WHERE id = :id AND owner = :owner", id=id, owner=owner)
