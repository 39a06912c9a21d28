"""SQL of seen names, and the job that saves them."""

from collections.abc import Mapping
from typing import Final

from schemas.times import DAY, Instant
from services.kit.db.database import Database, Tx
from services.kit.runtime.clock import Clock
from services.orchestrator.seen_names.sampler import NameSampler

DAYS: Final = 7
SAVE_SECONDS: Final = 30


async def add_counts(tx: Tx, counts: Mapping[str, Mapping[str, int]], now: Instant) -> None:
    """Adds counts to those of today, and forgets old days."""
    day = now // DAY
    # Rows are written in one order: two processes that save at the same time must not wait for each other.
    rows = sorted((source, path, seen) for source, names in counts.items() for path, seen in names.items())
    await tx.execute_many(
        "INSERT INTO seen_name (source, day, path, seen) VALUES (:source, :day, :path, :seen)"
        " ON CONFLICT (source, day, path) DO UPDATE SET seen = seen_name.seen + excluded.seen",
        [{"source": source, "day": day, "path": path, "seen": seen} for source, path, seen in rows],
    )
    await tx.execute("DELETE FROM seen_name WHERE day < :before", before=day - DAYS)


async def load_counts(tx: Tx, source: str, now: Instant) -> dict[str, int]:
    """Returns how often each path of a source was seen in the last days; the empty path counts what was looked at."""
    rows = await tx.rows(
        "SELECT path, sum(seen) AS seen FROM seen_name WHERE source = :source AND day > :after GROUP BY path",
        source=source,
        after=now // DAY - DAYS,
    )
    return {row.path: int(row.seen) for row in rows}


class NameSaver:
    """Saves what a sampler has counted. Counts of a failed save are lost: they are a sample anyway."""

    def __init__(self, database: Database, sampler: NameSampler, clock: Clock) -> None:
        self._database, self._sampler, self._clock = database, sampler, clock

    async def save(self) -> None:
        """Saves. Raises Transient."""
        counts = self._sampler.take()
        if counts:
            async with self._database.write() as tx:
                await add_counts(tx, counts, self._clock.now())
