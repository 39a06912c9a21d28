"""SQL of redrive jobs. One runs at a time; its process gives signs of life."""

from collections.abc import Iterable, Sequence
from typing import Any, Literal, NamedTuple

from sqlalchemy import Row

from schemas.times import DAY, Instant
from services.kit.db.database import Tx
from services.kit.db.owned_jobs import OwnedJobs

REDRIVE_REQUESTED = "redrive_requested"
"""The channel of notifications that redrive runners listen to."""
MAX_QUEUED = 20
JOB_RETENTION = 30 * DAY
"""Microseconds for which an ended job is kept, as long as the letters that it has closed."""
REDRIVE_JOBS = OwnedJobs("redrive_job")

JobState = Literal["queued", "running", "done", "cancelled"]
ItemResult = Literal["redriven", "still_dead", "closed_before", "not_found"]
ITEM_RESULTS: tuple[ItemResult, ...] = ("redriven", "still_dead", "closed_before", "not_found")


class RedriveJob(NamedTuple):
    """A job and how far it is. `counts`: letters by result; those whose turn has not come are in none."""

    id: str
    state: JobState
    requested_by: str
    reason: str
    rate: int
    left_out: int
    created: Instant
    started: Instant | None
    finished: Instant | None
    waiting: str | None
    total: int
    counts: dict[ItemResult, int]

    @property
    def done(self) -> int:
        """How many letters have had their turn."""
        return sum(self.counts.values())


class RedriveItem(NamedTuple):
    """One letter of a job, and what became of it."""

    seq: int
    letter: str
    result: ItemResult | None
    effect: str | None
    detail: str | None


_JOB_COLUMNS = "id, state, requested_by, reason, rate, left_out, created, started, finished, waiting"


async def count_queued(tx: Tx) -> int:
    """The number of jobs that have not begun."""
    row = await tx.row("SELECT count(*) AS jobs FROM redrive_job WHERE state = 'queued'")
    return 0 if row is None else int(row.jobs)


async def enqueue(
    tx: Tx, id: str, letters: Sequence[str], left_out: int, by: str, reason: str, rate: int, now: Instant
) -> None:
    """Queues a job for these letters; jobs that ended long ago are deleted."""
    old = f"SELECT id FROM redrive_job WHERE finished < {now - JOB_RETENTION}"
    await tx.execute(f"DELETE FROM redrive_item WHERE job IN ({old})")
    await tx.execute("DELETE FROM redrive_job WHERE finished < :before", before=now - JOB_RETENTION)
    await tx.execute(
        "INSERT INTO redrive_job (id, state, requested_by, reason, rate, left_out, created, seen) "
        "VALUES (:id, 'queued', :by, :reason, :rate, :left_out, :now, 0)",
        id=id,
        by=by,
        reason=reason,
        rate=rate,
        left_out=left_out,
        now=now,
    )
    rows = [(id, seq, letter) for seq, letter in enumerate(letters)]
    await tx.bulk_insert("redrive_item", ("job", "seq", "letter"), rows)
    await tx.notify(REDRIVE_REQUESTED)


async def get_job(tx: Tx, id: str) -> RedriveJob | None:
    """A job with its counts."""
    row = await tx.row(f"SELECT {_JOB_COLUMNS} FROM redrive_job WHERE id = :id", id=id)
    return None if row is None else await _with_counts(tx, row)


async def list_jobs(tx: Tx, before: tuple[Instant, str] | None, limit: int) -> list[RedriveJob]:
    """Jobs, newest first; `before`: created and id of the last one of the page before."""
    created, id = before or (2**63 - 1, "")
    rows = await tx.rows(
        f"SELECT {_JOB_COLUMNS} FROM redrive_job WHERE created < :created OR (created = :created AND id < :id) "
        "ORDER BY created DESC, id DESC LIMIT :limit",
        created=created,
        id=id,
        limit=limit,
    )
    return [await _with_counts(tx, row) for row in rows]


async def list_items(tx: Tx, job: str, results: Sequence[ItemResult], limit: int) -> list[RedriveItem]:
    """The first letters of a job that ended in one of these ways."""
    rows = await tx.rows(
        f"SELECT seq, letter, result, effect, detail FROM redrive_item WHERE job = :job "
        f"AND result IN ({tx.unnest('results')}) ORDER BY seq LIMIT :limit",
        job=job,
        results=tx.list_parameter(list(results)),
        limit=limit,
    )
    return [RedriveItem._make(row) for row in rows]


async def claim_next(tx: Tx, owner: str, now: Instant, database_now: Instant) -> RedriveJob | None:
    """Claims the oldest unfinished job; one whose process has died goes on where it was: its letters have their
    results.
    """
    id = await REDRIVE_JOBS.claim_oldest(tx, owner, now, database_now)
    return None if id is None else await get_job(tx, id)


async def take_waiting_items(tx: Tx, job: str, limit: int, left_out: Iterable[str] = ()) -> list[RedriveItem]:
    """The next letters whose turn has not come, without those of the services `left_out`."""
    prefixes = {f"service_{n}": f"{service}-%" for n, service in enumerate(left_out)}
    rows = await tx.rows(
        "SELECT seq, letter, result, effect, detail FROM redrive_item WHERE job = :job AND result IS NULL "
        f"{' '.join(f'AND letter NOT LIKE :{name}' for name in prefixes)} ORDER BY seq LIMIT :limit",
        job=job,
        limit=limit,
        **prefixes,
    )
    return [RedriveItem._make(row) for row in rows]


async def record_results(tx: Tx, job: str, items: Sequence[RedriveItem]) -> None:
    """Writes what has become of these letters."""
    await tx.execute_many(
        "UPDATE redrive_item SET result = :result, effect = :effect, detail = :detail WHERE job = :job AND seq = :seq",
        [{"job": job, "seq": i.seq, "result": i.result, "effect": i.effect, "detail": i.detail} for i in items],
    )


async def end_job(tx: Tx, job: str, state: JobState, now: Instant) -> bool:
    """Ends a job; False if it has ended before."""
    sql = (
        "UPDATE redrive_job SET state = :state, finished = :now, waiting = NULL, owner = NULL "
        "WHERE id = :id AND state IN ('queued', 'running')"
    )
    return bool(await tx.execute(sql, state=state, now=now, id=job))


async def _with_counts(tx: Tx, row: Row[Any]) -> RedriveJob:
    rows = await tx.rows(
        "SELECT result, count(*) AS letters FROM redrive_item WHERE job = :job GROUP BY result", job=row.id
    )
    by_result = {each.result: each.letters for each in rows}
    counts: dict[ItemResult, int] = {name: by_result.get(name, 0) for name in ITEM_RESULTS}
    return RedriveJob._make((*row, sum(by_result.values()), counts))
