"""SQL of one customer's history, newest first, always limited. Read only."""

from collections.abc import Sequence
from typing import Any

from schemas.times import Instant
from services.kit.db.database import Tx
from services.orchestrator.console.store import DECODER
from services.orchestrator.decisions.read_store import StoredDecision


async def list_customer_events(tx: Tx, customer: str, before: Instant, limit: int) -> Sequence[Any]:
    """Returns stored events: source, event_id, type, received."""
    return await tx.rows(
        "SELECT source, event_id, type, received FROM inbox WHERE customer = :customer AND received < :before"
        " ORDER BY received DESC, event_id LIMIT :limit",
        customer=customer,
        before=before,
        limit=limit,
    )


async def list_customer_decisions(tx: Tx, customer: str, before: Instant, limit: int) -> list[StoredDecision]:
    """Returns decisions about this customer."""
    rows = await tx.rows(
        "SELECT decision_id, body FROM decision WHERE customer = :customer AND time < :before"
        " ORDER BY decision_id DESC LIMIT :limit",
        customer=customer,
        before=before,
        limit=limit,
    )
    return [StoredDecision(row.decision_id, DECODER.decode(row.body)) for row in rows]


async def list_customer_messages(tx: Tx, customer: str, before: Instant, limit: int) -> Sequence[Any]:
    """Returns messages to this customer with their state: message_id, campaign, channel, state, adapter, detail,
    updated.
    """
    return await tx.rows(
        "SELECT message_id, campaign, channel, state, adapter, detail, created, updated FROM message"
        " WHERE customer = :customer AND updated < :before ORDER BY updated DESC, message_id LIMIT :limit",
        customer=customer,
        before=before,
        limit=limit,
    )
