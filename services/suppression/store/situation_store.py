"""SQL of situations: those of the active policy, the history of openings and closings, and quarantines."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from schemas.facts import Quarantine
from schemas.quarantine import LogPosition
from schemas.times import Instant
from services.kit.db.database import Tx
from services.suppression.situation_intervals import SituationChange

JsonObject = dict[str, Any]

_HISTORY_COLUMNS = (
    *("customer", "kind", "ref", "action", "at", "source", "event_id", "recorded"),
    *("reason", "opened", "closed"),
)


class ActiveSituations(NamedTuple):
    """The situations of the active policy; `seq` grows with each change."""

    seq: int
    policy_version: int
    situations: list[JsonObject]


class SituationHistoryRow(NamedTuple):
    """One change of a customer's situations, and the event that caused it."""

    customer: str
    change: SituationChange
    at: Instant
    source: str
    event_id: str
    reason: str | None = None


NO_ACTIVE_SITUATIONS = ActiveSituations(0, 0, [])


async def get_active_situations(tx: Tx, known: int = -1) -> ActiveSituations | None:
    """The situations in force; None when their `seq` is `known`: the caller has them."""
    newest = await tx.row("SELECT max(seq) AS seq FROM situation_kinds")
    seq = 0 if newest is None or newest.seq is None else int(newest.seq)
    if seq == known:
        return None
    row = await tx.row("SELECT policy_version, body FROM situation_kinds WHERE seq = :seq", seq=seq)
    return (
        NO_ACTIVE_SITUATIONS
        if row is None
        else ActiveSituations(seq, row.policy_version, msgspec.json.decode(row.body))
    )


async def set_active_situations(tx: Tx, policy_version: int, situations: Sequence[JsonObject], at: Instant) -> None:
    """Put these in force, unless those of this or a later policy version are: calls may arrive in any order."""
    current = await get_active_situations(tx)
    if current is not None and current.seq and current.policy_version >= policy_version:
        return
    sql = "INSERT INTO situation_kinds (policy_version, body, at) VALUES (:version, :body, :at)"
    await tx.execute(sql, version=policy_version, body=msgspec.json.encode(situations), at=at)


async def has_later_changes(tx: Tx, customer: str, at: Instant) -> bool:
    """Whether a situation of the customer was opened or closed after an instant."""
    sql = "SELECT 1 FROM situation_event WHERE customer = :customer AND at > :at LIMIT 1"
    return await tx.row(sql, customer=customer, at=at) is not None


async def find_openings(tx: Tx, keys: Sequence[tuple[str, str, str, Instant]]) -> set[tuple[str, str, str, Instant]]:
    """Those of these openings (customer, kind, ref, instant) that are in the history."""
    if not keys:
        return set()
    columns = {"customer": "text", "kind": "text", "ref": "text", "at": "bigint"}
    same = " AND ".join(f"e.{name} = k.{name}" for name in columns)
    rows = await tx.tuples(
        f"SELECT {', '.join(f'k.{name}' for name in columns)} FROM {tx.table_parameter('k', columns)} "
        f"WHERE EXISTS (SELECT 1 FROM situation_event e WHERE {same} AND e.action = 'opened')",
        **tx.bind_table_parameter("k", columns, list(dict.fromkeys(keys))),
    )
    return {(customer, kind, ref, at) for customer, kind, ref, at in rows}


async def record_changes(tx: Tx, rows: Sequence[SituationHistoryRow], recorded: Instant) -> None:
    """Append to the history, in order."""
    values = [
        (
            row.customer,
            row.change.situation.kind,
            row.change.situation.ref,
            row.change.action,
            row.at,
            row.source,
            row.event_id,
            recorded,
            row.reason,
            row.change.opened,
            row.change.closed,
        )
        for row in rows
    ]
    await tx.bulk_insert("situation_event", _HISTORY_COLUMNS, values)


async def list_history(tx: Tx, customer: str, before: int, limit: int) -> Sequence[Any]:
    """Changes of a customer's situations with a `seq` below `before`, newest first."""
    sql = """
        SELECT seq, kind, ref, action, at, source, event_id, recorded, reason, opened, closed FROM situation_event
        WHERE customer = :customer AND seq < :before ORDER BY seq DESC LIMIT :limit
    """
    return await tx.rows(sql, customer=customer, before=before, limit=limit)


async def record_quarantine(tx: Tx, customer: str, begun: Quarantine, error_class: str) -> None:
    """Append a quarantine, and the record that caused it, to the history."""
    sql = """
        INSERT INTO quarantine (customer, start, until, topic, partition, log_offset, error_class)
        VALUES (:customer, :start, :until, :topic, :partition, :offset, :error_class)
    """
    await tx.execute(sql, customer=customer, error_class=error_class, **msgspec.structs.asdict(begun))


async def record_release(tx: Tx, customer: str, position: LogPosition, now: Instant) -> None:
    """Note in the history that a quarantine has ended early."""
    sql = """
        UPDATE quarantine SET ended = :now
        WHERE customer = :customer AND topic = :topic AND partition = :partition AND log_offset = :offset
          AND ended IS NULL
    """
    topic, partition, offset = position
    await tx.execute(sql, customer=customer, topic=topic, partition=partition, offset=offset, now=now)
