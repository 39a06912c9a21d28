"""`/v1/inbox`: what a customer's browser or app asks for, with a token of the customer. Never with an API key."""

from importlib import resources
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Path, Query, Request
from pydantic import Field
from sqlalchemy import Row
from starlette.responses import Response, StreamingResponse
from typing_extensions import TypedDict

from schemas.fields import Document, as_tuple
from schemas.times import format_instant
from services.kit.errors import NotFound, RateLimited
from services.kit.http.answer_types import TimeText
from services.kit.http.auth import public
from services.kit.http.cross_origin import cross_origin_router
from services.kit.http.openapi import answers, page_answers
from services.kit.http.paging import PageCursor, decode_cursor, encode_cursor
from services.kit.http.request_body import document_body
from services.orchestrator.delivery.adapters.app_inbox.access import InboxAccess, InboxClosed
from services.orchestrator.delivery.adapters.app_inbox.customer_tokens import (
    CustomerTokenExpired,
    CustomerTokenRefused,
    VerifiedCustomer,
)
from services.orchestrator.delivery.adapters.app_inbox.declaration import parse_origins
from services.orchestrator.delivery.adapters.app_inbox.inbox_reader import InboxReader, decode_content
from services.orchestrator.delivery.adapters.app_inbox.live_stream import LiveInboxes
from services.orchestrator.delivery.adapters.definition import AdapterApiContext

SCRIPT: Final = "inbox.js"
_MAX_ID: Final = 200
InboxPageLimit = Annotated[int, Query(ge=1, le=50, description="Messages of one page")]
InboxMessageId = Annotated[str, Path(max_length=_MAX_ID)]
_REFUSALS: Final = (CustomerTokenRefused, CustomerTokenExpired, InboxClosed, RateLimited)


class InboxMessageFields(TypedDict):
    """A message in an inbox. `link`: where its action leads. `locale`: the language of its texts."""

    id: str
    title: str
    body: str
    link: str | None
    locale: str | None
    topic: str | None
    at: TimeText
    seen: bool
    read: bool
    clicked: bool
    archived: bool


class InboxPageFields(TypedDict):
    """A page of an inbox, newest first. `next` is the `after` of the next page, and null on the last one. `unread`:
    messages in the whole inbox that are neither read nor archived.
    """

    items: list[InboxMessageFields]
    next: str | None
    unread: int


class UnreadFields(TypedDict):
    """How many messages are neither read nor archived."""

    unread: int


class ClickFields(TypedDict):
    """Where the action of the message leads; null if it has none."""

    link: str | None
    unread: int


class SeenMessages(Document):
    """Messages that the customer has before them."""

    ids: Annotated[tuple[Annotated[str, Field(max_length=_MAX_ID)], ...], as_tuple, Field(min_length=1, max_length=100)]


def create_routes(context: AdapterApiContext) -> APIRouter:
    """The routes of `/v1/inbox`."""
    settings = context.read_settings()
    routes = cross_origin_router(parse_origins(settings.origins), prefix="/v1/inbox", tags=["inbox"])
    reader = InboxReader(context.database, context.clock, context.take_statements)
    access = InboxAccess(context.read_settings, context.clock)
    live = LiveInboxes(context.database, context.clock, settings.streams, context.is_stopping, describe_message)
    _add_reading(routes, reader, access)
    _add_marking(routes, reader, access)
    _add_stream(routes, live, access)
    _add_script(routes)
    return routes


def _add_reading(routes: APIRouter, reader: InboxReader, access: InboxAccess) -> None:
    @routes.get(
        "/messages",
        summary="The customer's messages, newest first",
        dependencies=[public()],
        **answers({200: InboxPageFields}, *_REFUSALS),
    )
    async def list_inbox_messages(
        token: VerifiedCustomer = Depends(access),
        archived: bool = False,
        limit: InboxPageLimit = 20,
        after: PageCursor = None,
    ) -> dict[str, object]:
        before = decode_cursor(after, int) if after else None
        rows, unread = await reader.read_page(token.customer, archived=archived, before=before, limit=limit + 1)
        next = encode_cursor(rows[limit - 1].position) if len(rows) > limit else None
        return {"items": [describe_message(row) for row in rows[:limit]], "next": next, "unread": unread}

    @routes.get(
        "/unread",
        summary="How many messages the customer has not read",
        dependencies=[public()],
        **answers({200: UnreadFields}, *_REFUSALS),
    )
    async def count_unread_messages(token: VerifiedCustomer = Depends(access)) -> UnreadFields:
        return {"unread": await reader.count_unread(token.customer)}


def _add_marking(routes: APIRouter, reader: InboxReader, access: InboxAccess) -> None:
    options: dict[str, Any] = {"dependencies": [public()], **answers({200: UnreadFields}, NotFound, *_REFUSALS)}

    async def count(token: VerifiedCustomer) -> UnreadFields:
        return {"unread": await reader.count_unread(token.customer)}

    @routes.post("/seen", summary="The customer has these messages before them", **options)
    async def mark_messages_seen(
        token: VerifiedCustomer = Depends(access), body: SeenMessages = document_body(SeenMessages)
    ) -> UnreadFields:
        await reader.mark(token.customer, body.ids, "seen")
        return await count(token)

    @routes.post("/read-all", summary="The customer has read everything, or all up to a message", **options)
    async def mark_all_messages_read(
        token: VerifiedCustomer = Depends(access), until: Annotated[str | None, Query(max_length=_MAX_ID)] = None
    ) -> UnreadFields:
        await reader.mark_all_read(token.customer, until)
        return await count(token)

    @routes.post("/messages/{id}/read", summary="The customer has read a message", **options)
    async def mark_message_read(id: InboxMessageId, token: VerifiedCustomer = Depends(access)) -> UnreadFields:
        await reader.mark_one(token.customer, id, "read")
        return await count(token)

    @routes.post("/messages/{id}/archive", summary="Put a message into the archive", **options)
    async def archive_message(id: InboxMessageId, token: VerifiedCustomer = Depends(access)) -> UnreadFields:
        await reader.mark_one(token.customer, id, "archived")
        return await count(token)

    @routes.post("/messages/{id}/unarchive", summary="Take a message out of the archive", **options)
    async def unarchive_message(id: InboxMessageId, token: VerifiedCustomer = Depends(access)) -> UnreadFields:
        await reader.unarchive(token.customer, id)
        return await count(token)

    @routes.post(
        "/messages/{id}/click",
        summary="The customer follows the link of a message; answers where it leads",
        dependencies=[public()],
        **answers({200: ClickFields}, NotFound, *_REFUSALS),
    )
    async def click_message(id: InboxMessageId, token: VerifiedCustomer = Depends(access)) -> ClickFields:
        link = decode_content(await reader.find(token.customer, id)).get("link")
        await reader.mark_one(token.customer, id, "read" if link is None else "clicked")
        return {"link": link, "unread": await reader.count_unread(token.customer)}


def _add_stream(routes: APIRouter, live: LiveInboxes, access: InboxAccess) -> None:
    @routes.get(
        "/stream",
        summary="The customer's inbox live, as server-sent events; `Last-Event-ID` continues where a stream ended",
        dependencies=[public()],
        response_class=StreamingResponse,
        **page_answers([200], *_REFUSALS, media_type="text/event-stream"),
    )
    async def stream_inbox(request: Request, token: VerifiedCustomer = Depends(access)) -> StreamingResponse:
        return live.open_stream(token, request.headers.get("last-event-id"))


def _add_script(routes: APIRouter) -> None:
    script = (resources.files(__package__) / SCRIPT).read_bytes()

    @routes.get(
        f"/{SCRIPT}",
        summary="The example script for pages",
        dependencies=[public()],
        response_class=Response,
        **page_answers([200], media_type="text/javascript"),
    )
    async def get_inbox_script() -> Response:
        headers = {"Cache-Control": "public, max-age=3600", "Cross-Origin-Resource-Policy": "cross-origin"}
        return Response(script, 200, headers, "text/javascript; charset=utf-8")


def describe_message(row: Row[Any]) -> dict[str, Any]:
    """A message as its reader gets it."""
    content = decode_content(row)
    return {
        "id": row.message_id,
        "title": content.get("title", ""),
        "body": content.get("body", ""),
        "link": content.get("link"),
        "locale": row.locale,
        "topic": row.topic,
        "at": format_instant(row.at),
        **{mark: getattr(row, f"{mark}_at") is not None for mark in ("seen", "read", "clicked", "archived")},
    }
