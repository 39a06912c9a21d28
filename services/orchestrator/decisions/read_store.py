"""SQL of queries about events and decisions, for the API and the console. It only reads."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import msgspec

from schemas.decision import Decision, to_document
from schemas.times import SECOND, Instant
from services.kit.db.database import Tx
from services.orchestrator.decisions.metrics import DEFERRED, BacklogSizes
from services.orchestrator.decisions.store import END_OF_TIME

_DECISION_DECODER = msgspec.msgpack.Decoder(Decision)


class StoredDecision(NamedTuple):
    """A decision and its number, in order of writing."""

    decision_id: int
    decision: Decision


class DecisionCursor(NamedTuple):
    """The decision after which the next page begins."""

    time: Instant
    message_id: str
    decision_id: int


@dataclass(frozen=True, slots=True)
class DecisionFilter:
    """Selects decisions; None matches all. `since` is inclusive, `until` exclusive."""

    customer: str | None = None
    campaign: str | None = None
    channel: str | None = None
    outcome: str | None = None
    reason: str | None = None
    since: Instant | None = None
    until: Instant | None = None


async def list_decisions(
    tx: Tx, criteria: DecisionFilter, after: DecisionCursor | None, limit: int
) -> list[StoredDecision]:
    """Decisions in order of time and message, ties in order of writing."""
    conditions, params = equality_conditions(
        customer=criteria.customer,
        campaign=criteria.campaign,
        channel=criteria.channel,
        outcome=criteria.outcome,
        reason=criteria.reason,
    )
    if criteria.since is not None:
        conditions.append("time >= :since")
        params["since"] = criteria.since
    if criteria.until is not None:
        conditions.append("time < :until")
        params["until"] = criteria.until
    if after is not None:
        conditions.append("(time, message_id, decision_id) > (:a_time, :a_message, :a_id)")
        params |= {"a_time": after.time, "a_message": after.message_id, "a_id": after.decision_id}
    rows = await tx.rows(
        f"SELECT decision_id, body FROM decision {where_clause(conditions)} "
        "ORDER BY time, message_id, decision_id LIMIT :limit",
        **params,
        limit=limit,
    )
    return [_to_stored_decision(row) for row in rows]


async def get_decision(tx: Tx, decision_id: int) -> StoredDecision | None:
    """One decision."""
    row = await tx.row("SELECT decision_id, body FROM decision WHERE decision_id = :id", id=decision_id)
    return None if row is None else _to_stored_decision(row)


async def list_event_decisions(tx: Tx, customer: str, source: str, event_id: str) -> list[StoredDecision]:
    """All decisions about one event, in order of writing."""
    rows = await tx.rows(
        "SELECT decision_id, body FROM decision WHERE customer = :customer AND event_source = :source"
        " AND event_id = :event ORDER BY decision_id",
        customer=customer,
        source=source,
        event=event_id,
    )
    return [_to_stored_decision(row) for row in rows]


async def list_message_decisions(tx: Tx, customer: str, message_id: str) -> list[StoredDecision]:
    """All decisions about one message, in order of writing."""
    rows = await tx.rows(
        "SELECT decision_id, body FROM decision WHERE customer = :customer AND message_id = :message"
        " ORDER BY decision_id",
        customer=customer,
        message=message_id,
    )
    return [_to_stored_decision(row) for row in rows]


async def list_decision_keys(tx: Tx, customer: str) -> Sequence[Any]:
    """What identifies each decision about a customer, in order of writing, and its `reason`."""
    return await tx.rows(
        "SELECT decision_id, time, message_id, campaign, event_source, event_id, reason FROM decision "
        "WHERE customer = :customer ORDER BY decision_id",
        customer=customer,
    )


async def get_last_trigger_event(tx: Tx, customer: str, campaign: str, until: Instant = END_OF_TIME) -> bytes | None:
    """The structured JSON of the customer's last event, as of an instant, that triggered the campaign."""
    row = await tx.row(
        "SELECT i.event FROM decision d JOIN stored_event i"
        " ON i.customer = d.customer AND i.source = d.event_source AND i.event_id = d.event_id"
        " WHERE d.customer = :customer AND d.campaign = :campaign AND d.time <= :until"
        " ORDER BY d.decision_id DESC LIMIT 1",
        customer=customer,
        campaign=campaign,
        until=until,
    )
    return None if row is None else bytes(row.event)


async def get_event(tx: Tx, source: str, event_id: str, customer: str | None) -> bytes | None:
    """The structured JSON of an event that triggered or changed something. Several customers: the last one received."""
    conditions, params = equality_conditions(customer=customer)
    rows = await tx.rows(
        f"SELECT event FROM stored_event {where_clause(['event_id = :event', 'source = :source', *conditions])}"
        " ORDER BY received DESC, customer LIMIT 1",
        event=event_id,
        source=source,
        **params,
    )
    return bytes(rows[0].event) if rows else None


_DEFERRED_SQL: Final = """
    SELECT m.channel AS channel, t.kind AS reason, count(*) AS messages,
           min(CASE WHEN t.due < :now AND t.kind <> 'retry' THEN t.due END) AS overdue,
           sum(CASE WHEN t.due >= :now AND t.due < :soon AND t.kind <> 'retry' THEN 1 ELSE 0 END) AS due_soon
    FROM timer t JOIN message m ON m.message_id = t.message_id GROUP BY m.channel, t.kind
"""
_QUEUE_SQL: Final = """
    SELECT q.channel AS channel, q.messages AS messages, m.updated AS ready
    FROM (SELECT channel, count(*) AS messages, min(seq) AS first FROM outbox GROUP BY channel) q
    JOIN outbox o ON o.seq = q.first JOIN message m ON m.message_id = o.message_id
"""
_APPROVALS_SQL: Final = """
    SELECT 'campaign' AS kind, count(*) AS reviews FROM campaign_version WHERE status = 'submitted'
    UNION ALL SELECT 'policy', count(*) FROM policy_version WHERE status = 'submitted'
"""


SOON: Final = 1800 * SECOND
"""Microseconds within which a deferred message counts as one that comes due soon."""


async def measure_backlog(tx: Tx, now: Instant) -> BacklogSizes:
    """How much is deferred, queued and in review, and the oldest of each."""
    deferred_rows = [row for row in await tx.rows(_DEFERRED_SQL, now=now, soon=now + SOON) if row.reason in DEFERRED]
    queued = await tx.rows(_QUEUE_SQL)
    overdue: dict[str, int] = {}
    due_soon: Counter[str] = Counter()
    for row in deferred_rows:
        due_soon[row.channel] += int(row.due_soon)
        if row.overdue is not None:
            overdue[row.channel] = min(row.overdue, overdue.get(row.channel, row.overdue))
    return BacklogSizes(
        deferred={(row.channel, row.reason): row.messages for row in deferred_rows},
        overdue=overdue,
        due_soon=due_soon,
        queued={row.channel: row.messages for row in queued},
        oldest={row.channel: row.ready for row in queued},
        approvals={row.kind: row.reviews for row in await tx.rows(_APPROVALS_SQL)},
    )


def equality_conditions(**columns: str | None) -> tuple[list[str], dict[str, Any]]:
    """Conditions for the columns that have a value, and their parameters."""
    given = {name: value for name, value in columns.items() if value is not None}
    return [f"{name} = :{name}" for name in given], given


def where_clause(conditions: Sequence[str]) -> str:
    """A WHERE clause, or nothing where there is no condition."""
    return f"WHERE {' AND '.join(conditions)}" if conditions else ""


def _to_stored_decision(row: Any) -> StoredDecision:
    return StoredDecision(row.decision_id, _DECISION_DECODER.decode(row.body))


def decision_document(stored: StoredDecision, trace: str = "decisive") -> dict[str, Any]:
    """Returns a decision with its id, as the API shows it."""
    return {"decision_id": stored.decision_id, **to_document(stored.decision, trace)}
