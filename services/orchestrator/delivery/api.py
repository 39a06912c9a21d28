"""Messages over HTTP: what was written, to whom, what became of it."""

from typing import Any

import msgspec
from fastapi import APIRouter

from schemas.times import format_instant
from schemas.vocabulary import MessageState
from services.kit.db.database import Database
from services.kit.errors import NotFound
from services.kit.http.auth import Principal, requires
from services.kit.http.paging import DEFAULT_LIMIT, After, Limit, decode_cursor, encode_cursor, page
from services.orchestrator.campaigns.api_common import time_of
from services.orchestrator.decisions import read_store
from services.orchestrator.decisions.api import shown as decision_shown


def router(database: Database) -> APIRouter:
    """The routes of `/v1/messages`."""
    routes = APIRouter(prefix="/v1/messages", tags=["messages"])

    @routes.get("", summary="Messages, oldest first")
    async def every(
        customer: str | None = None,
        campaign: str | None = None,
        status: MessageState | None = None,
        limit: Limit = DEFAULT_LIMIT,
        after: After = None,
        _: Principal = requires("messages:read"),
    ) -> dict[str, object]:
        async with database.read() as tx:
            found = await read_store.messages(
                tx,
                customer=customer,
                campaign=campaign,
                status=status,
                after=decode_cursor(after, tuple[int, str]) if after else None,
                limit=limit + 1,
            )
        last = found[limit - 1] if len(found) > limit else None
        return page(
            [_shown(row) for row in found[:limit]], encode_cursor((last.created, last.message_id)) if last else None
        )

    _one(routes, database)
    return routes


def _one(routes: APIRouter, database: Database) -> None:
    @routes.get("/{id}", summary="One message as sent, with its attempts and decisions")
    async def one(id: str, _: Principal = requires("messages:read")) -> dict[str, Any]:
        async with database.read() as tx:
            row = await read_store.message(tx, id)
            if row is None:
                raise NotFound(f"there is no message `{id[:60]}`")
            attempts = await read_store.attempts_of(tx, id)
            decisions = await read_store.decisions_of_message(tx, row.customer, id)
        return {
            **_shown(row),
            "attempts": [_attempt(attempt) for attempt in attempts],
            "decisions": [decision_shown(kept) for kept in decisions],
        }


def content_of(packed: bytes | None) -> dict[str, str] | None:
    """The fields of the channel as they were kept."""
    return None if packed is None else msgspec.json.decode(packed, type=dict[str, str])


def _shown(row: Any) -> dict[str, Any]:
    return {
        "message_id": row.message_id,
        "customer": row.customer,
        "campaign": row.campaign,
        "version": row.version,
        "policy_version": row.policy_version,
        "channel": row.channel,
        "class": row.cls,
        "intent": row.intent,
        "topic": row.topic,
        "priority": row.priority,
        "event": {"source": row.event_source, "id": row.event_id},
        "status": row.state,
        "since": time_of(row.since),
        "until": time_of(row.until),
        "expires_at": time_of(row.expires_at),
        "to": row.to_address,
        "content": content_of(row.content),
        "locale": row.locale,
        "adapter": row.adapter,
        "provider_id": row.provider_id,
        "detail": row.detail,
        "attempt_count": row.attempts,
        "created": format_instant(row.created),
        "updated": format_instant(row.updated),
    }


def _attempt(row: Any) -> dict[str, Any]:
    return {
        "number": row.number,
        "state": row.state,
        "outcome": row.outcome,
        "detail": row.detail,
        "marked_at": time_of(row.marked_at),
        "closed_at": time_of(row.closed_at),
    }
