"""SQL of the console pages: newest first, every query bounded by a time, a key or a limit. Read only."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

import msgspec

from schemas.decision import Decision
from schemas.times import Instant
from services.kit.db.database import Tx
from services.orchestrator.decisions.read_store import StoredDecision

MAX_COUNT = 10_000
"""Counts of waiting things stop here."""
DECODER = msgspec.msgpack.Decoder(Decision)


@dataclass(frozen=True, slots=True)
class DecisionListFilter:
    """Filters of a decision list; None matches all."""

    customer: str | None = None
    campaign: str | None = None
    channel: str | None = None
    outcome: str | None = None
    reason: str | None = None

    def to_sql(self) -> tuple[list[str], dict[str, Any]]:
        """Returns SQL conditions and their values."""
        filters = {item.name: getattr(self, item.name) for item in fields(self) if getattr(self, item.name) is not None}
        return [f"{name} = :{name}" for name in filters], filters

    def matches(self, decision: Decision) -> bool:
        """Whether a decision passes the filter."""
        return all(getattr(self, item.name) in (None, getattr(decision, item.name)) for item in fields(self))


class DecisionPosition(NamedTuple):
    """The position from which a descending list continues."""

    time: Instant
    message_id: str
    decision_id: int


class SlotCount(NamedTuple):
    """The number of decisions in one time slot."""

    slot: int
    channel: str
    outcome: str
    reason: str
    number: int


async def list_newest_decisions(
    tx: Tx, decision_filter: DecisionListFilter, since: Instant, before: DecisionPosition | None, limit: int
) -> list[StoredDecision]:
    """Returns decisions not older than `since`, newest first."""
    conditions, params = decision_filter.to_sql()
    conditions.append("time >= :since")
    if before is not None:
        conditions.append("(time, message_id, decision_id) < (:b_time, :b_message, :b_id)")
        params |= {"b_time": before.time, "b_message": before.message_id, "b_id": before.decision_id}
    rows = await tx.rows(
        f"SELECT decision_id, body FROM decision WHERE {' AND '.join(conditions)}"
        " ORDER BY time DESC, message_id DESC, decision_id DESC LIMIT :limit",
        **params,
        since=since,
        limit=limit,
    )
    return [_to_stored_decision(row) for row in rows]


async def list_decisions_between_ids(tx: Tx, ranges: Sequence[tuple[str, int, int]]) -> list[StoredDecision]:
    """Returns decisions about customers, each with an inclusive range of ids: (customer, lowest, highest)."""
    columns = {"customer": "text", "low": "bigint", "high": "bigint"}
    # CROSS JOIN: SQLite then takes the ranges first and finds the decisions by the index of customers.
    rows = await tx.rows(
        f"SELECT d.decision_id, d.body FROM {tx.table_parameter('k', columns)} CROSS JOIN decision d"
        " WHERE d.customer = k.customer AND d.decision_id >= k.low AND d.decision_id <= k.high",
        **tx.bind_table_parameter("k", columns, ranges),
    )
    return [_to_stored_decision(row) for row in rows]


async def newest_decision_id(tx: Tx) -> int:
    """Returns the id of the newest decision, or 0."""
    row = await tx.row("SELECT max(decision_id) AS id FROM decision")
    return 0 if row is None or row.id is None else int(row.id)


async def list_decisions_after(
    tx: Tx, decision_filter: DecisionListFilter, after: int, limit: int
) -> list[StoredDecision]:
    """Returns decisions with ids above `after`, ascending."""
    conditions, params = decision_filter.to_sql()
    rows = await tx.rows(
        f"SELECT decision_id, body FROM decision WHERE {' AND '.join(['decision_id > :after', *conditions])}"
        " ORDER BY decision_id LIMIT :limit",
        **params,
        after=after,
        limit=limit,
    )
    return [_to_stored_decision(row) for row in rows]


async def count_decisions(tx: Tx, since: Instant, until: Instant, slots: int) -> list[SlotCount]:
    """Counts decisions from `since` (inclusive) to `until` (exclusive), in slots of equal length."""
    width = max((until - since) // slots, 1)
    rows = await tx.rows(
        "SELECT (time - :since) / :width AS slot, channel, outcome, reason, count(*) AS n FROM decision"
        " WHERE time >= :since AND time < :until GROUP BY 1, 2, 3, 4",
        since=since,
        until=until,
        width=width,
    )
    return [SlotCount(min(int(row.slot), slots - 1), row.channel, row.outcome, row.reason, int(row.n)) for row in rows]


async def count_reason_since(tx: Tx, reason: str, since: Instant) -> int:
    """Returns the number of decisions with this reason since then, at most `MAX_COUNT`."""
    row = await tx.row(
        "SELECT count(*) AS n FROM"
        " (SELECT 1 FROM decision WHERE time >= :since AND reason = :reason LIMIT :most) AS found",
        since=since,
        reason=reason,
        most=MAX_COUNT,
    )
    return 0 if row is None else int(row.n)


async def list_failing_campaigns(tx: Tx, since: Instant, limit: int) -> Sequence[Any]:
    """Returns campaigns with failures since then, most failures first: campaign, reason, n, last."""
    return await tx.rows(
        "SELECT campaign, reason, count(*) AS n, max(time) AS last FROM decision"
        " WHERE time >= :since AND outcome = 'fail' GROUP BY campaign, reason ORDER BY n DESC, campaign LIMIT :limit",
        since=since,
        limit=limit,
    )


async def list_submitted_versions(tx: Tx, limit: int) -> Sequence[Any]:
    """Returns versions waiting for approval: noun, key, version, submitted_by."""
    return await tx.rows(
        "SELECT noun, key, version, submitted_by FROM ("
        "SELECT 'campaign' AS noun, key, version, submitted_by, created FROM campaign_version"
        " WHERE status = 'submitted' UNION ALL"
        " SELECT 'policy', 'policy', version, submitted_by, created FROM policy_version WHERE status = 'submitted'"
        ") AS waiting ORDER BY created LIMIT :limit",
        limit=limit,
    )


async def count_waiting_messages(tx: Tx) -> tuple[int, Instant | None]:
    """Returns the number of messages waiting for their time (at most `MAX_COUNT`), and when the next is due."""
    row = await tx.row(
        "SELECT count(*) AS n, min(due) AS next FROM (SELECT due FROM timer ORDER BY due LIMIT :most) AS timers",
        most=MAX_COUNT,
    )
    return (0, None) if row is None else (int(row.n), row.next)


async def count_open_attempts(tx: Tx) -> tuple[int, Instant | None]:
    """Returns the number of open attempts (at most `MAX_COUNT`), and the time of the oldest."""
    row = await tx.row(
        "SELECT count(*) AS n, min(claimed_at) AS oldest FROM"
        " (SELECT claimed_at FROM open_attempt LIMIT :most) AS attempts",
        most=MAX_COUNT,
    )
    return (0, None) if row is None else (int(row.n), row.oldest)


async def get_message_event(tx: Tx, message_id: str) -> Any | None:
    """Returns the event behind a message: source, id, its send decision, and when it was decided."""
    return await tx.row(
        "SELECT event_source AS source, event_id AS id, campaign, locale, adapter, updated FROM tracked_message"
        " WHERE message_id = :id",
        id=message_id,
    )


async def get_newest_decision(tx: Tx, customer: str, message_id: str) -> StoredDecision | None:
    """Returns the newest decision about a message."""
    row = await tx.row(
        "SELECT decision_id, body FROM decision WHERE customer = :customer AND message_id = :message"
        " ORDER BY decision_id DESC LIMIT 1",
        customer=customer,
        message=message_id,
    )
    return None if row is None else _to_stored_decision(row)


async def list_events_with_id(tx: Tx, event_id: str, limit: int) -> Sequence[Any]:
    """Returns stored events with this id, newest first: event_id, type, customer, received."""
    return await tx.rows(
        "SELECT event_id, type, customer, received FROM stored_event WHERE event_id = :event"
        " ORDER BY received DESC, customer LIMIT :limit",
        event=event_id,
        limit=limit,
    )


async def is_known_customer(tx: Tx, customer: str) -> bool:
    """Whether an event of this customer is stored, or a decision about them."""
    row = await tx.row(
        "SELECT EXISTS (SELECT 1 FROM decision WHERE customer = :customer) AS decided,"
        " EXISTS (SELECT 1 FROM stored_event WHERE customer = :customer) AS seen",
        customer=customer,
    )
    return row is not None and bool(row.decided or row.seen)


async def is_decision(tx: Tx, decision_id: int) -> bool:
    """Whether there is a decision with this number."""
    return await tx.row("SELECT 1 AS found FROM decision WHERE decision_id = :id", id=decision_id) is not None


async def get_message_owner(tx: Tx, message_id: str) -> Any | None:
    """Returns whose message this is, and its newest decision: message_id, customer, campaign, channel, decision_id."""
    return await tx.row(
        "SELECT m.message_id, m.customer, m.campaign, m.channel, max(d.decision_id) AS decision_id FROM message m"
        " JOIN decision d ON d.customer = m.customer AND d.message_id = m.message_id WHERE m.message_id = :id"
        " GROUP BY m.message_id, m.customer, m.campaign, m.channel",
        id=message_id,
    )


async def list_last_messages(tx: Tx, customers: Sequence[str], states: Iterable[str]) -> Sequence[Any]:
    """Returns the newest message in one of these states of each customer: customer, campaign, channel, state,
    updated.
    """
    columns = {"customer": "text"}
    return await tx.rows(
        "SELECT m.customer, m.campaign, m.channel, m.state, m.updated"
        f" FROM {tx.table_parameter('k', columns)} CROSS JOIN tracked_message m WHERE m.message_id ="
        " (SELECT x.message_id FROM tracked_message x WHERE x.customer = k.customer"
        f" AND {tx.in_list('x.state', 'states')} ORDER BY x.created DESC, x.message_id LIMIT 1)",
        **tx.bind_table_parameter("k", columns, [(customer,) for customer in customers]),
        states=tx.list_parameter(list(states)),
    )


async def list_campaign_documents(tx: Tx, limit: int) -> Sequence[Any]:
    """Returns campaigns in order of key, with the newest version's document."""
    return await tx.rows(
        "SELECT c.key, v.document FROM campaign c JOIN campaign_version v"
        " ON v.key = c.key AND v.version = c.newest ORDER BY c.key LIMIT :limit",
        limit=limit,
    )


def _to_stored_decision(row: Any) -> StoredDecision:
    return StoredDecision(row.decision_id, DECODER.decode(row.body))
