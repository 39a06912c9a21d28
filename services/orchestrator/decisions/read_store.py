"""SQL of what people ask about: events, decisions, messages, attempts. Reads only, in the caller's transaction."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec

from schemas.decision import Decision
from schemas.facts import AttemptScope
from schemas.times import Instant
from services.kit.db.database import Tx
from services.orchestrator.delivery.attempts import IN_FLIGHT_BY_ID_SQL, IN_FLIGHT_SQL

_DECISION_DECODER = msgspec.msgpack.Decoder(Decision)


class StoredDecision(NamedTuple):
    """A decision and its number in order of judging."""

    decision_id: int
    decision: Decision


class DecisionCursor(NamedTuple):
    """Where a list of decisions goes on: after this one."""

    time: Instant
    message_id: str
    decision_id: int


@dataclass(frozen=True, slots=True)
class DecisionFilter:
    """Which decisions; None matches all. `since` is inclusive, `until` exclusive."""

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
    """Decisions in order of time and message, ties in order of judging."""
    conditions, params = _equality_conditions(
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
        f"SELECT decision_id, body FROM decision {_where_clause(conditions)} "
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
    """All decisions of one event, in order of judging."""
    rows = await tx.rows(
        "SELECT decision_id, body FROM decision WHERE customer = :customer AND event_source = :source"
        " AND event_id = :event ORDER BY decision_id",
        customer=customer,
        source=source,
        event=event_id,
    )
    return [_to_stored_decision(row) for row in rows]


async def list_message_decisions(tx: Tx, customer: str, message_id: str) -> list[StoredDecision]:
    """All decisions about one message, in order of judging."""
    rows = await tx.rows(
        "SELECT decision_id, body FROM decision WHERE customer = :customer AND message_id = :message"
        " ORDER BY decision_id",
        customer=customer,
        message=message_id,
    )
    return [_to_stored_decision(row) for row in rows]


async def get_last_trigger_event(tx: Tx, customer: str, campaign: str) -> bytes | None:
    """The structured JSON of the customer's last event that triggered the campaign."""
    row = await tx.row(
        "SELECT i.event FROM decision d JOIN inbox i"
        " ON i.customer = d.customer AND i.source = d.event_source AND i.event_id = d.event_id"
        " WHERE d.customer = :customer AND d.campaign = :campaign ORDER BY d.decision_id DESC LIMIT 1",
        customer=customer,
        campaign=campaign,
    )
    return None if row is None else bytes(row.event)


async def get_event(tx: Tx, source: str, event_id: str, customer: str | None) -> bytes | None:
    """The structured JSON of an event that triggered or changed something; of several customers', the last one."""
    conditions, params = _equality_conditions(customer=customer)
    rows = await tx.rows(
        f"SELECT event FROM inbox {_where_clause(['event_id = :event', 'source = :source', *conditions])}"
        " ORDER BY received DESC, customer LIMIT 1",
        event=event_id,
        source=source,
        **params,
    )
    return bytes(rows[0].event) if rows else None


_MESSAGE_COLUMNS = (
    "message_id, customer, campaign, version, policy_version, channel, cls, intent, topic, priority, event_source,"
    " event_id, state, since, until, expires_at, attempts, to_address, locale, adapter, provider_id, detail, created,"
    " updated, (SELECT content FROM message_content c WHERE c.message_id = message.message_id) AS content"
)


async def list_messages(
    tx: Tx,
    *,
    customer: str | None,
    campaign: str | None,
    status: str | None,
    after: tuple[Instant, str] | None,
    limit: int,
) -> Sequence[Any]:
    """Messages, oldest first."""
    conditions, params = _equality_conditions(customer=customer, campaign=campaign, state=status)
    return await _list_page(tx, f"SELECT {_MESSAGE_COLUMNS} FROM message", "created", conditions, params, after, limit)


async def get_message(tx: Tx, message_id: str) -> Any | None:
    """One message."""
    return await tx.row(f"SELECT {_MESSAGE_COLUMNS} FROM message WHERE message_id = :id", id=message_id)


async def list_attempts(tx: Tx, message_id: str) -> Sequence[Any]:
    """The attempts to hand a message over, in order: those that were not accepted, and the last one."""
    return await tx.rows(
        "SELECT number, 'closed' AS state, outcome, detail, claimed_at, closed_at FROM attempt WHERE message_id = :id"
        " UNION ALL SELECT attempts, CASE WHEN state = 'handing_over' THEN 'open' ELSE 'closed' END,"
        " CASE WHEN state <> 'handing_over' THEN 'accepted' END, detail, claimed_at, closed_at"
        " FROM message m WHERE message_id = :id AND attempts > 0 AND NOT EXISTS"
        " (SELECT 1 FROM attempt a WHERE a.message_id = m.message_id AND a.number = m.attempts) ORDER BY 1",
        id=message_id,
    )


async def list_open_attempts(tx: Tx, scope: AttemptScope) -> list[tuple[str, int]]:
    """The attempts of a scope that are still open. Without `classes`, of all classes."""
    conditions, params = _equality_conditions(customer=scope.customer, address_hash=scope.address)
    column_values = (
        ("channel", scope.channels),
        ("topic", scope.topics),
        ("cls", scope.classes),
        ("intent", scope.intents),
        ("campaign", scope.campaigns),
    )
    for column, values in column_values:
        if values is not None:
            conditions.append(f"{column} IN ({tx.unnest(f'any_{column}')})")
            params[f"any_{column}"] = tx.list_parameter(values)
    rows = await tx.rows(
        f"SELECT message_id, attempts FROM message {_where_clause([*conditions, IN_FLIGHT_SQL])} ORDER BY message_id",
        **params,
    )
    return [(row.message_id, row.attempts) for row in rows]


async def count_open_attempts(tx: Tx, attempts: Sequence[tuple[str, int]]) -> int:
    """How many of these attempts are still open."""
    rows = await tx.rows(
        f"SELECT message_id, attempts FROM message WHERE {tx.in_list('message_id', 'ids')} AND {IN_FLIGHT_BY_ID_SQL}",
        ids=tx.list_parameter([message for message, _ in attempts]),
    )
    return len(set(attempts) & {(row.message_id, row.attempts) for row in rows})


async def _list_page(
    tx: Tx,
    sql: str,
    order: str,
    conditions: list[str],
    params: dict[str, Any],
    after: tuple[Instant, str] | None,
    limit: int,
) -> Sequence[Any]:
    if after is not None:
        conditions = [*conditions, f"({order}, message_id) > (:a_time, :a_message)"]
        params = params | {"a_time": after[0], "a_message": after[1]}
    return await tx.rows(
        f"{sql} {_where_clause(conditions)} ORDER BY {order}, message_id LIMIT :limit", **params, limit=limit
    )


def _equality_conditions(**columns: str | None) -> tuple[list[str], dict[str, Any]]:
    given = {name: value for name, value in columns.items() if value is not None}
    return [f"{name} = :{name}" for name in given], given


def _where_clause(conditions: Sequence[str]) -> str:
    return f"WHERE {' AND '.join(conditions)}" if conditions else ""


def _to_stored_decision(row: Any) -> StoredDecision:
    return StoredDecision(row.decision_id, _DECISION_DECODER.decode(row.body))
