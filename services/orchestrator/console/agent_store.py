"""SQL of the page for agents: what waits for a customer, and what they were sent. Read only, bounded."""

from collections.abc import Sequence
from typing import Any, Final

from schemas.vocabulary import MessageState
from services.kit.db.database import Tx

_WAITING: Final = ", ".join(
    repr(state.value) for state in (MessageState.PLANNED, MessageState.PARKED, MessageState.PENDING, MessageState.RETRY)
)
_NOT_SENT: Final = f"{_WAITING}, '{MessageState.SUPPRESSED.value}', '{MessageState.FAILED.value}'"


async def list_waiting(tx: Tx, customer: str, limit: int) -> Sequence[Any]:
    """Messages that wait: message_id, campaign, channel, state, due, held (whether a hold or situation keeps it)."""
    return await tx.rows(
        "SELECT m.message_id, m.campaign, m.channel, m.state, t.due,"
        " EXISTS (SELECT 1 FROM parked p WHERE p.message_id = m.message_id) AS held"
        " FROM tracked_message m LEFT JOIN timer t ON t.message_id = m.message_id"
        f" WHERE m.customer = :customer AND m.state IN ({_WAITING}) ORDER BY m.created DESC, m.message_id LIMIT :limit",
        customer=customer,
        limit=limit,
    )


async def list_sent(tx: Tx, customer: str, limit: int) -> Sequence[Any]:
    """Messages that were handed over, newest first: message_id, campaign, channel, state, updated, and the event that
    triggered each: type, received, source.
    """
    return await tx.rows(
        "SELECT m.message_id, m.campaign, m.channel, m.state, m.updated, m.event_source,"
        " e.type, e.received FROM tracked_message m LEFT JOIN stored_event e ON e.customer = m.customer"
        " AND e.source = m.event_source AND e.event_id = m.event_id"
        f" WHERE m.customer = :customer AND m.state NOT IN ({_NOT_SENT})"
        " ORDER BY m.updated DESC, m.message_id LIMIT :limit",
        customer=customer,
        limit=limit,
    )
