"""SQL of removal requests."""

from collections.abc import Sequence
from typing import Any, Final, Literal

from sqlalchemy import Row

from schemas.times import Instant
from services.kit.db.database import Tx

RemovalState = Literal["requested", "approved", "declined", "withdrawn", "void"]
_COLUMNS: Final = (
    "r.id, r.entry_id, r.state, r.reason, r.consent_of, r.requested_by, r.requested_at, r.decided_by, r.decided_at, "
    "r.decision_reason, e.customer, e.masked, e.reason AS entry_reason, e.added_by, e.channel"
)
_FROM: Final = "removal_request r JOIN suppression_entry e ON e.id = r.entry_id"


async def insert_request(
    tx: Tx, id: str, entry_id: str, reason: str, consent_of: str | None, by: str, now: Instant
) -> None:
    """Record a request. At most one for each entry is open."""
    await tx.execute(
        "INSERT INTO removal_request (id, entry_id, state, reason, consent_of, requested_by, requested_at) "
        "VALUES (:id, :entry_id, 'requested', :reason, :consent_of, :by, :now)",
        id=id,
        entry_id=entry_id,
        reason=reason,
        consent_of=consent_of,
        by=by,
        now=now,
    )


async def get_request(tx: Tx, id: str) -> Row[Any] | None:
    """A request, with whom its entry names."""
    return await tx.row(f"SELECT {_COLUMNS} FROM {_FROM} WHERE r.id = :id", id=id)


async def find_open_request(tx: Tx, entry_id: str) -> str | None:
    """The id of the request for the removal of an entry that nobody has decided."""
    sql = "SELECT id FROM removal_request WHERE entry_id = :entry_id AND state = 'requested'"
    row = await tx.row(sql, entry_id=entry_id)
    return None if row is None else str(row.id)


async def list_requests(tx: Tx, state: RemovalState | None, before: str, limit: int) -> Sequence[Row[Any]]:
    """Requests with an id below `before` (empty: all), newest first; optionally those of one state."""
    where = ["1 = 1"] if not before else ["r.id < :before"]
    params: dict[str, Any] = {"limit": limit} | ({"before": before} if before else {})
    if state is not None:
        where.append("r.state = :state")
        params["state"] = state
    sql = f"SELECT {_COLUMNS} FROM {_FROM} WHERE {' AND '.join(where)} ORDER BY r.id DESC LIMIT :limit"
    return await tx.rows(sql, **params)


async def decide_request(tx: Tx, id: str, state: RemovalState, by: str, reason: str | None, now: Instant) -> bool:
    """Record who decided a request, and how; False when somebody has before."""
    sql = """
        UPDATE removal_request SET state = :state, decided_by = :by, decided_at = :now, decision_reason = :reason
        WHERE id = :id AND state = 'requested'
    """
    return bool(await tx.execute(sql, id=id, state=state, by=by, reason=reason, now=now))
