"""SQL of queries about messages and attempts, for the APIs and the console. It only reads."""

from collections.abc import Sequence
from typing import Any

import msgspec

from schemas.service_api import AttemptScope
from schemas.times import Instant
from schemas.vocabulary import MessageState
from services.kit.db.database import Tx
from services.orchestrator.decisions.read_store import equality_conditions, where_clause

_MESSAGE_COLUMNS = (
    "message_id, customer, campaign, version, policy_version, channel, cls, intent, topic, priority, event_source,"
    " event_id, state, since, until, expires_at, attempts, to_address, locale, adapter, provider_id, detail, created,"
    " updated, content"
)

_TAKEN_STATES = (
    MessageState.ACCEPTED.value, MessageState.DELIVERED.value, MessageState.COMPLAINED.value,
)  # fmt: skip
"""A message in one of these has left for the customer, and nothing says that it has not arrived."""
_WITH_OPEN_HANDOVER = (
    "message m WHERE state = 'handing_over' AND EXISTS "
    "(SELECT 1 FROM handover h WHERE h.handover_id = m.handover_id AND h.closed_at IS NULL)"
)
_OPEN_OF_CUSTOMER = f"(SELECT * FROM {_WITH_OPEN_HANDOVER} AND customer = :customer) AS of_customer"


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
    conditions, params = equality_conditions(customer=customer, campaign=campaign, state=status)
    if after is not None:
        conditions.append("(created, message_id) > (:a_time, :a_message)")
        params |= {"a_time": after[0], "a_message": after[1]}
    return await tx.rows(
        f"SELECT {_MESSAGE_COLUMNS} FROM tracked_message m {where_clause(conditions)} "
        "ORDER BY created, message_id LIMIT :limit",
        **params,
        limit=limit,
    )


async def get_message(tx: Tx, message_id: str) -> Any | None:
    """One message."""
    return await tx.row(f"SELECT {_MESSAGE_COLUMNS} FROM tracked_message m WHERE message_id = :id", id=message_id)


async def list_attempts(tx: Tx, message_id: str) -> Sequence[Any]:
    """The attempts to hand a message over, in order: those that were not accepted, and the last one."""
    return await tx.rows(
        "SELECT number, 'closed' AS state, outcome, detail, claimed_at, closed_at FROM attempt WHERE message_id = :id"
        " UNION ALL SELECT attempts, CASE WHEN state = 'handing_over' THEN 'open' ELSE 'closed' END,"
        " CASE WHEN state <> 'handing_over' THEN 'accepted' END, detail, claimed_at, closed_at"
        " FROM tracked_message m WHERE message_id = :id AND attempts > 0 AND NOT EXISTS"
        " (SELECT 1 FROM attempt a WHERE a.message_id = m.message_id AND a.number = m.attempts) ORDER BY 1",
        id=message_id,
    )


async def count_contacts_by_topic(tx: Tx, customer: str, since: Instant) -> dict[str, int]:
    """How many messages to a customer that were decided since an instant a provider has taken, by topic."""
    rows = await tx.rows(
        "SELECT topic, count(*) AS messages FROM tracked_message m WHERE customer = :customer AND created >= :since "
        f"AND topic IS NOT NULL AND {tx.in_list('state', 'states')} GROUP BY topic",
        customer=customer,
        since=since,
        states=tx.list_parameter(_TAKEN_STATES),
    )
    return {row.topic: int(row.messages) for row in rows}


async def list_open_attempts(tx: Tx, scope: AttemptScope) -> list[tuple[str, int]]:
    """The attempts of a scope that are still open. Without `classes`, of all classes."""
    conditions, params = equality_conditions(customer=scope.customer, address_hash=scope.address)
    # Those of one customer are found among the customer's messages, not among all that are on their way.
    source = "open_attempt" if scope.customer is None else _OPEN_OF_CUSTOMER
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
        f"SELECT message_id, attempts FROM {source} {where_clause(conditions)} ORDER BY message_id", **params
    )
    return [(row.message_id, row.attempts) for row in rows]


async def count_open_attempts(tx: Tx, attempts: Sequence[tuple[str, int]]) -> int:
    """How many of these attempts (message id, number) are still open."""
    rows = await tx.rows(
        f"SELECT message_id, attempts FROM {_WITH_OPEN_HANDOVER} AND {tx.in_list('message_id', 'ids')}",
        ids=tx.list_parameter([message for message, _ in attempts]),
    )
    return len(set(attempts) & {(row.message_id, row.attempts) for row in rows})


def decode_content(packed: bytes | None) -> dict[str, str] | None:
    """The content of a message as it is stored: the fields of its channel."""
    return None if packed is None else msgspec.json.decode(packed, type=dict[str, str])
