"""SQL of what people ask about: events, decisions, messages, attempts. Reads only, in the caller's transaction."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec

from schemas.decision import Decision
from schemas.facts import AttemptScope
from schemas.times import Instant
from services.kit.db.database import Tx
from services.orchestrator.delivery.attempts import IN_FLIGHT, STILL_IN_FLIGHT

_DECISION = msgspec.msgpack.Decoder(Decision)


class Kept(NamedTuple):
    """A decision and its number in order of judging."""

    decision_id: int
    decision: Decision


class Position(NamedTuple):
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


async def decisions(tx: Tx, wanted: DecisionFilter, after: Position | None, limit: int) -> list[Kept]:
    """Decisions in order of time and message, ties in order of judging."""
    equal, params = _equal(
        customer=wanted.customer,
        campaign=wanted.campaign,
        channel=wanted.channel,
        outcome=wanted.outcome,
        reason=wanted.reason,
    )
    if wanted.since is not None:
        equal.append("time >= :since")
        params["since"] = wanted.since
    if wanted.until is not None:
        equal.append("time < :until")
        params["until"] = wanted.until
    if after is not None:
        equal.append("(time, message_id, decision_id) > (:a_time, :a_message, :a_id)")
        params |= {"a_time": after.time, "a_message": after.message_id, "a_id": after.decision_id}
    rows = await tx.rows(
        f"SELECT decision_id, body FROM decision {_where(equal)} ORDER BY time, message_id, decision_id LIMIT :limit",
        **params,
        limit=limit,
    )
    return [_kept(row) for row in rows]


async def decision(tx: Tx, decision_id: int) -> Kept | None:
    """One decision."""
    row = await tx.row("SELECT decision_id, body FROM decision WHERE decision_id = :id", id=decision_id)
    return None if row is None else _kept(row)


async def decisions_of_event(tx: Tx, customer: str, source: str, event_id: str) -> list[Kept]:
    """All decisions of one event, in order of judging."""
    rows = await tx.rows(
        "SELECT decision_id, body FROM decision WHERE customer = :customer AND event_source = :source"
        " AND event_id = :event ORDER BY decision_id",
        customer=customer,
        source=source,
        event=event_id,
    )
    return [_kept(row) for row in rows]


async def decisions_of_message(tx: Tx, customer: str, message_id: str) -> list[Kept]:
    """All decisions about one message, in order of judging."""
    rows = await tx.rows(
        "SELECT decision_id, body FROM decision WHERE customer = :customer AND message_id = :message"
        " ORDER BY decision_id",
        customer=customer,
        message=message_id,
    )
    return [_kept(row) for row in rows]


async def last_trigger(tx: Tx, customer: str, campaign: str) -> bytes | None:
    """The structured JSON of the customer's last event that triggered the campaign."""
    row = await tx.row(
        "SELECT i.event FROM decision d JOIN inbox i"
        " ON i.customer = d.customer AND i.source = d.event_source AND i.event_id = d.event_id"
        " WHERE d.customer = :customer AND d.campaign = :campaign ORDER BY d.decision_id DESC LIMIT 1",
        customer=customer,
        campaign=campaign,
    )
    return None if row is None else bytes(row.event)


async def known_event(tx: Tx, source: str, event_id: str, customer: str | None) -> bytes | None:
    """The structured JSON of an event that triggered or changed something; of several customers', the last one."""
    equal, params = _equal(customer=customer)
    rows = await tx.rows(
        f"SELECT event FROM inbox {_where(['event_id = :event', 'source = :source', *equal])}"
        " ORDER BY received DESC, customer LIMIT 1",
        event=event_id,
        source=source,
        **params,
    )
    return bytes(rows[0].event) if rows else None


_MESSAGE = (
    "message_id, customer, campaign, version, policy_version, channel, cls, intent, topic, priority, event_source,"
    " event_id, state, since, until, expires_at, attempts, to_address, locale, adapter, provider_id, detail, created,"
    " updated, (SELECT content FROM message_content c WHERE c.message_id = message.message_id) AS content"
)


async def messages(
    tx: Tx,
    *,
    customer: str | None,
    campaign: str | None,
    status: str | None,
    after: tuple[Instant, str] | None,
    limit: int,
) -> Sequence[Any]:
    """Messages, oldest first."""
    equal, params = _equal(customer=customer, campaign=campaign, state=status)
    return await _listed(tx, f"SELECT {_MESSAGE} FROM message", "created", equal, params, after, limit)


async def message(tx: Tx, message_id: str) -> Any | None:
    """One message."""
    return await tx.row(f"SELECT {_MESSAGE} FROM message WHERE message_id = :id", id=message_id)


async def attempts_of(tx: Tx, message_id: str) -> Sequence[Any]:
    """The attempts to hand a message over, in order: those that were not accepted, and the last one."""
    return await tx.rows(
        "SELECT number, 'closed' AS state, outcome, detail, marked_at, closed_at FROM attempt WHERE message_id = :id"
        " UNION ALL SELECT attempts, CASE WHEN state = 'handing_over' THEN 'open' ELSE 'closed' END,"
        " CASE WHEN state <> 'handing_over' THEN 'accepted' END, detail, marked_at, closed_at"
        " FROM message m WHERE message_id = :id AND attempts > 0 AND NOT EXISTS"
        " (SELECT 1 FROM attempt a WHERE a.message_id = m.message_id AND a.number = m.attempts) ORDER BY 1",
        id=message_id,
    )


async def sandbox_messages(
    tx: Tx, *, customer: str | None, channel: str | None, after: tuple[Instant, str] | None, limit: int
) -> Sequence[Any]:
    """What the sandbox would have sent, oldest first."""
    equal, params = _equal(customer=customer, channel=channel)
    sql = "SELECT message_id, customer, campaign, channel, to_address, content, at FROM sandbox_message"
    return await _listed(tx, sql, "at", equal, params, after, limit)


async def open_attempts(tx: Tx, scope: AttemptScope) -> list[tuple[str, int]]:
    """The attempts of a scope that are still open. Without `classes`, of all classes."""
    equal, params = _equal(customer=scope.customer, address_hash=scope.address)
    lists = (
        ("channel", scope.channels),
        ("topic", scope.topics),
        ("cls", scope.classes),
        ("intent", scope.intents),
        ("campaign", scope.campaigns),
    )
    for column, values in lists:
        if values is not None:
            equal.append(f"{column} IN ({tx.each(f'any_{column}')})")
            params[f"any_{column}"] = tx.array(values)
    rows = await tx.rows(
        f"SELECT message_id, attempts FROM message {_where([*equal, IN_FLIGHT])} ORDER BY message_id", **params
    )
    return [(row.message_id, row.attempts) for row in rows]


async def still_open(tx: Tx, attempts: Sequence[tuple[str, int]]) -> int:
    """How many of these attempts are still open."""
    rows = await tx.rows(
        f"SELECT message_id, attempts FROM message WHERE {tx.among('message_id', 'ids')} AND {STILL_IN_FLIGHT}",
        ids=tx.array([message for message, _ in attempts]),
    )
    return len(set(attempts) & {(row.message_id, row.attempts) for row in rows})


async def _listed(
    tx: Tx,
    sql: str,
    order: str,
    equal: list[str],
    params: dict[str, Any],
    after: tuple[Instant, str] | None,
    limit: int,
) -> Sequence[Any]:
    if after is not None:
        equal = [*equal, f"({order}, message_id) > (:a_time, :a_message)"]
        params = params | {"a_time": after[0], "a_message": after[1]}
    return await tx.rows(f"{sql} {_where(equal)} ORDER BY {order}, message_id LIMIT :limit", **params, limit=limit)


def _equal(**columns: str | None) -> tuple[list[str], dict[str, Any]]:
    given = {name: value for name, value in columns.items() if value is not None}
    return [f"{name} = :{name}" for name in given], given


def _where(conditions: Sequence[str]) -> str:
    return f"WHERE {' AND '.join(conditions)}" if conditions else ""


def _kept(row: Any) -> Kept:
    return Kept(row.decision_id, _DECISION.decode(row.body))
