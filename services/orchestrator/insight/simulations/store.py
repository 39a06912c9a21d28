"""SQL of simulations. One runs at a time; its process sends heartbeats."""

from collections.abc import Collection, Sequence
from enum import StrEnum
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Row

from schemas.times import SECOND, Instant
from services.kit.db.database import Tx
from services.orchestrator.decisions.store import HISTORY_COLUMNS

SIMULATION_REQUESTED = "simulation_requested"
"""The channel of notifications that simulation runners listen to."""
MAX_KEPT = 50
MAX_QUEUED = 10
MAX_TRIES = 2
HEARTBEAT_TIMEOUT = 30 * SECOND
"""Microseconds (database time) without a heartbeat after which the process of a simulation is considered dead."""


class SimulationState(StrEnum):
    """The states of a simulation."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


class Simulation(NamedTuple):
    """A simulation without its result. `progress`: 0 to 1000."""

    id: str
    state: SimulationState
    requested_by: str
    created: Instant
    started: Instant | None
    finished: Instant | None
    progress: int
    error: str | None
    notes: list[str]


class ClaimedSimulation(NamedTuple):
    """A simulation to run. `tries`: how many runs have begun, including this one; it identifies the run."""

    id: str
    request: dict[str, Any]
    tries: int


class RunResult(NamedTuple):
    """The end of a run: a result with its page, or an error."""

    result: bytes | None = None
    picture: bytes | None = None
    notes: Sequence[str] = ()
    error: str | None = None


_SIMULATION_COLUMNS = "id, state, requested_by, created, started, finished, progress, error, notes"


async def count_queued(tx: Tx) -> int:
    """Returns the number of queued simulations."""
    row = await tx.row("SELECT count(*) AS waiting FROM simulation WHERE state = 'queued'")
    return 0 if row is None else int(row.waiting)


async def enqueue(tx: Tx, id: str, by: str, asked: dict[str, Any], request: dict[str, Any], now: Instant) -> None:
    """Queues a simulation with its request and all documents. Of ended ones only the newest are kept."""
    await tx.execute(
        "INSERT INTO simulation (id, state, requested_by, asked, request, created, seen, tries, progress) "
        "VALUES (:id, 'queued', :by, :asked, :request, :now, 0, 0, 0)",
        id=id,
        by=by,
        asked=msgspec.json.encode(asked),
        request=msgspec.json.encode(request),
        now=now,
    )
    await tx.execute(
        "DELETE FROM simulation WHERE state IN ('done', 'failed') AND id NOT IN "
        f"(SELECT id FROM simulation ORDER BY created DESC, id DESC LIMIT {MAX_KEPT})"
    )
    await tx.notify(SIMULATION_REQUESTED)


async def get_simulation(tx: Tx, id: str) -> Simulation | None:
    """Returns a simulation without its result."""
    row = await tx.row(f"SELECT {_SIMULATION_COLUMNS} FROM simulation WHERE id = :id", id=id)
    return None if row is None else _to_simulation(row)


async def list_simulations(tx: Tx, before: tuple[Instant, str] | None, limit: int) -> list[Simulation]:
    """Returns simulations, newest first; `before`: created and id of the last one of the previous page."""
    created, id = before or (2**63 - 1, "")
    rows = await tx.rows(
        f"SELECT {_SIMULATION_COLUMNS} FROM simulation WHERE created < :created OR (created = :created AND id < :id) "
        "ORDER BY created DESC, id DESC LIMIT :limit",
        created=created,
        id=id,
        limit=limit,
    )
    return [_to_simulation(row) for row in rows]


async def get_original_request(tx: Tx, id: str) -> Any:
    """Returns the original request."""
    row = await tx.row("SELECT asked FROM simulation WHERE id = :id", id=id)
    return None if row is None else msgspec.json.decode(row.asked)


async def get_result(tx: Tx, id: str) -> dict[str, Any] | None:
    """Returns the result, if there is one."""
    row = await tx.row("SELECT result FROM simulation WHERE id = :id", id=id)
    return None if row is None or row.result is None else msgspec.json.decode(row.result, type=dict[str, Any])


async def get_picture(tx: Tx, id: str) -> bytes | None:
    """Returns the difference page, if there is one."""
    row = await tx.row("SELECT picture FROM simulation WHERE id = :id", id=id)
    return None if row is None or row.picture is None else bytes(row.picture)


async def claim_next(tx: Tx, now: Instant, real: Instant) -> ClaimedSimulation | None:
    """Claims the next simulation unless one is running; one whose process is dead is started once more.

    `real` is the database's time.
    """
    rows = await tx.rows(
        f"SELECT id, state, request, seen, tries FROM simulation WHERE state IN ('queued', 'running') "
        f"ORDER BY created, id {tx.for_update}"
    )
    running = [row for row in rows if row.state == SimulationState.RUNNING]
    if any(row.seen > real - HEARTBEAT_TIMEOUT for row in running):
        return None
    for row in running:
        if row.tries >= MAX_TRIES:
            await record_result(
                tx,
                ClaimedSimulation(row.id, {}, row.tries),
                RunResult(error="the simulation process died twice"),
                now,
            )
    runnable = [row for row in rows if row.state == SimulationState.QUEUED or row.tries < MAX_TRIES]
    if not runnable:
        return None
    first = runnable[0]
    await tx.execute(
        "UPDATE simulation SET state = 'running', started = :now, seen = :real, tries = tries + 1, progress = 0 "
        "WHERE id = :id",
        now=now,
        real=real,
        id=first.id,
    )
    return ClaimedSimulation(first.id, msgspec.json.decode(first.request), first.tries + 1)


async def record_heartbeat(tx: Tx, claimed: ClaimedSimulation, progress: int, real: Instant) -> bool:
    """Records progress and liveness. Returns False if another process has taken the simulation over."""
    sql = "UPDATE simulation SET progress = :progress, seen = :real WHERE id = :id AND state = 'running' AND tries = :n"
    return bool(await tx.execute(sql, progress=progress, real=real, id=claimed.id, n=claimed.tries))


async def requeue(tx: Tx, claimed: ClaimedSimulation) -> None:
    """Puts a simulation back into the queue, because its process was asked to stop."""
    await tx.execute(
        "UPDATE simulation SET state = 'queued', tries = tries - 1, progress = 0 "
        "WHERE id = :id AND state = 'running' AND tries = :n",
        id=claimed.id,
        n=claimed.tries,
    )


async def record_result(tx: Tx, claimed: ClaimedSimulation, run_result: RunResult, now: Instant) -> None:
    """Stores the result of this run, unless a newer run has begun."""
    await tx.execute(
        "UPDATE simulation SET state = :state, finished = :now, progress = :progress, error = :error, notes = :notes, "
        "result = :result, picture = :picture WHERE id = :id AND state = 'running' AND tries = :n",
        state=SimulationState.DONE if run_result.error is None else SimulationState.FAILED,
        now=now,
        progress=1000 if run_result.error is None else 0,
        error=run_result.error,
        notes=msgspec.json.encode(list(run_result.notes)),
        result=run_result.result,
        picture=run_result.picture,
        id=claimed.id,
        n=claimed.tries,
    )


def _to_simulation(row: Row[Any]) -> Simulation:
    notes = [] if row.notes is None else msgspec.json.decode(row.notes, type=list[str])
    return Simulation(
        *(row.id, SimulationState(row.state), row.requested_by, row.created, row.started, row.finished),
        *(row.progress, row.error, notes),
    )


async def has_unfinished(tx: Tx) -> bool:
    """Whether a simulation is queued or running. Cheap, so that idle processes may ask often."""
    return await tx.row("SELECT 1 FROM simulation WHERE state IN ('queued', 'running') LIMIT 1") is not None


async def list_received_events(
    tx: Tx, customers: Collection[str] | None, since: Instant, until: Instant, limit: int
) -> Sequence[Row[Any]]:
    """Returns events received from `since` (inclusive) to `until`, of these or all customers, in order."""
    named = "" if customers is None else f"AND customer IN ({tx.unnest('customers')}) "
    names = {} if customers is None else {"customers": tx.list_parameter(sorted(customers))}
    return await tx.rows(
        f"SELECT customer, received, event FROM stored_event WHERE received >= :since AND received < :until {named}"
        "ORDER BY received, topic, partition, log_offset LIMIT :limit",
        since=since,
        until=until,
        limit=limit,
        **names,
    )


async def list_contact_history(tx: Tx, customers: Sequence[str], at: Instant) -> Sequence[Row[Any]]:
    """Returns the contact history of these customers recorded before an instant, by customer in order of writing."""
    return await tx.rows(
        f"SELECT {', '.join(HISTORY_COLUMNS)} FROM contact_history "
        f"WHERE customer IN ({tx.unnest('customers')}) AND recorded < :at ORDER BY customer, seq",
        customers=tx.list_parameter(customers),
        at=at,
    )
