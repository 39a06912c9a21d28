"""SQL on the table `sandbox_message`: the messages that the sandbox has stored instead of sending them.

Rows have the fields message_id, customer, campaign, channel, to_address, content (JSON) and at (microseconds, UTC).
"""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from schemas.message import Message
from schemas.times import Instant
from services.kit.db.database import Tx

Position = tuple[Instant, str]
"""Time and message id of a row: where a page of a list ends."""

_COLUMNS: Final = "message_id, customer, campaign, channel, to_address, content, at"


async def insert_messages(tx: Tx, messages: Sequence[Message], now: Instant) -> None:
    """Store messages; one whose id is stored already is ignored."""
    await tx.execute_many(
        f"INSERT INTO sandbox_message ({_COLUMNS}) VALUES (:id, :customer, :campaign, :channel, :to, :content, :at)"
        " ON CONFLICT (message_id) DO NOTHING",
        [
            {
                "id": message.id,
                "customer": message.customer,
                "campaign": message.campaign,
                "channel": message.channel,
                "to": message.to,
                "content": msgspec.json.encode(message.content),
                "at": now,
            }
            for message in messages
        ],
    )


async def list_messages_after(
    tx: Tx, *, customer: str | None, channel: str | None, after: Position | None, limit: int
) -> Sequence[Any]:
    """A page of messages, oldest first."""
    return await _list_page(tx, customer, channel, after, ">", "at, message_id", limit)


async def list_messages_before(
    tx: Tx, *, customer: str | None, channel: str | None, before: Position | None, limit: int
) -> Sequence[Any]:
    """A page of messages, newest first."""
    return await _list_page(tx, customer, channel, before, "<", "at DESC, message_id DESC", limit)


async def get_message(tx: Tx, message_id: str) -> Any | None:
    """One message."""
    return await tx.row(f"SELECT {_COLUMNS} FROM sandbox_message WHERE message_id = :id", id=message_id)


async def list_messages_of_event(tx: Tx, customer: str, source: str, event: str) -> Sequence[Any]:
    """The messages that one event caused for a customer."""
    columns = ", ".join(f"s.{name.strip()}" for name in _COLUMNS.split(","))
    return await tx.rows(
        f"SELECT {columns} FROM message m JOIN sandbox_message s ON s.message_id = m.message_id"
        " WHERE m.customer = :customer AND m.event_source = :source AND m.event_id = :event ORDER BY s.at, s.channel",
        customer=customer,
        source=source,
        event=event,
    )


async def _list_page(
    tx: Tx, customer: str | None, channel: str | None, position: Position | None, side: str, order: str, limit: int
) -> Sequence[Any]:
    given = {"customer": customer, "channel": channel}
    params: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    conditions = [f"{name} = :{name}" for name in params]
    if position is not None:
        conditions.append(f"(at, message_id) {side} (:position_at, :position_id)")
        params |= {"position_at": position[0], "position_id": position[1]}
    where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
    return await tx.rows(
        f"SELECT {_COLUMNS} FROM sandbox_message {where} ORDER BY {order} LIMIT :limit", **params, limit=limit
    )
