"""SQL of timelines: what is stored about a customer up to an instant, newest first."""

from collections.abc import Sequence
from typing import Any

import msgspec

from schemas.decision import Decision
from schemas.times import Instant
from services.kit.db.database import Tx
from services.orchestrator.decisions.read_store import StoredDecision

_DECODER = msgspec.msgpack.Decoder(Decision)


async def list_events(tx: Tx, customer: str, until: Instant, limit: int) -> Sequence[Any]:
    """Stored events: source, event_id, type, received."""
    return await tx.rows(
        "SELECT source, event_id, type, received FROM stored_event WHERE customer = :customer AND received <= :until"
        " ORDER BY received DESC, event_id DESC, source DESC LIMIT :limit",
        customer=customer,
        until=until,
        limit=limit,
    )


async def list_decisions(tx: Tx, customer: str, until: Instant, limit: int) -> list[StoredDecision]:
    """Decisions about the customer."""
    rows = await tx.rows(
        "SELECT decision_id, body FROM decision WHERE customer = :customer AND time <= :until"
        " ORDER BY time DESC, decision_id DESC LIMIT :limit",
        customer=customer,
        until=until,
        limit=limit,
    )
    return [StoredDecision(row.decision_id, _DECODER.decode(row.body)) for row in rows]


async def list_messages(tx: Tx, customer: str, until: Instant, limit: int) -> Sequence[Any]:
    """Messages with the state that they are in since `updated`: message_id, campaign, channel, state, adapter."""
    return await tx.rows(
        "SELECT message_id, campaign, channel, state, adapter, updated FROM tracked_message"
        " WHERE customer = :customer AND updated <= :until ORDER BY updated DESC, message_id DESC LIMIT :limit",
        customer=customer,
        until=until,
        limit=limit,
    )
