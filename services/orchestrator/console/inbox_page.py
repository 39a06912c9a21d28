"""Sandbox inbox: what an event would have sent, as customers would see it."""

import asyncio
import json
import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, NamedTuple

from fastapi import APIRouter, Query, Request
from starlette.responses import HTMLResponse, Response

from schemas.addresses import kind_of_address
from schemas.channel_registry import CHANNEL_REGISTRY
from schemas.facts import Preference
from schemas.times import Instant
from schemas.vocabulary import CHANNELS_WITHOUT_ADDRESS
from services.kit.errors import NotFound
from services.kit.http.auth import Principal, requires
from services.kit.http.paging import decode_cursor, encode_cursor
from services.orchestrator.console import store
from services.orchestrator.console.console_context import NAMES, ConsoleContext, customer_name, may_see_names
from services.orchestrator.console.page_frame import PageRenderer, link, page_route_class
from services.orchestrator.console.receipt_words import describe_receipt
from services.orchestrator.console.text_cutting import cut_text
from services.orchestrator.console.time_format import WallClock
from services.orchestrator.delivery.adapters.sandbox import store as sandbox_store
from services.orchestrator.delivery.channels.registry import CHANNELS_BY_ID
from services.orchestrator.delivery.query_store import decode_content
from services.orchestrator.delivery.receipts.store import list_receipts
from services.template import RenderError

PATH = "/console/inbox"
PAGE_SIZE = 30
MESSAGE_BODY_HEADERS: Final[Mapping[str, str]] = {
    "Content-Security-Policy": "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:;"
    " form-action 'none'; base-uri 'none'; frame-ancestors 'self'",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}
"""The sandbox policy of the e-mail frame: no scripts, no forms, nothing loaded from elsewhere, no origin."""
_WEB_LINK = re.compile(r"https?://[^\s<>\"]+")
_PLAIN_PAGE_HEAD = (
    '<!doctype html><meta charset="utf-8"><title>E-mail</title><style>body { margin: 20px; background: #fff;'
    " color: #222; font: 15px/1.55 system-ui, sans-serif; overflow-wrap: break-word; }</style>"
)
_SNIPPET_LENGTH = 90
_SEEN_ON_A_CARD: Final = frozenset({"title", "body"})
_SEEN_CHARACTERS: Final = 100
"""Characters of a text that certainly have room on a card."""


class InboxMessage(NamedTuple):
    """A message prepared for its frame."""

    id: str
    channel: str
    preview: str
    campaign: str
    customer: str
    name: str | None
    at: Instant
    to: str
    content: Mapping[str, str]
    subject: str
    snippet: str
    link: str
    document: str | None
    """Where the file is that would be handed over, if its channel makes one."""


def inbox_page_routes(context: ConsoleContext, renderer: PageRenderer) -> APIRouter:
    """Builds the routes of the inbox."""
    routes = APIRouter(include_in_schema=False, route_class=page_route_class(renderer))

    @routes.get(PATH)
    async def inbox(
        request: Request,
        channel: Annotated[str, Query(max_length=16)] = "",
        customer: Annotated[str, Query(max_length=256)] = "",
        message: Annotated[str, Query(max_length=64)] = "",
        before: Annotated[str, Query(max_length=1000)] = "",
        principal: Principal = requires("sandbox:read", shows_more=NAMES, list_unless="customer"),
    ) -> Response:
        at = await context.get_wall_clock()
        channel_declarations = CHANNEL_REGISTRY.declarations.values()
        async with context.database.read() as tx:
            position = decode_cursor(before, tuple[int, str]) if before else None
            messages = await sandbox_store.list_messages_before(
                tx, customer=customer or None, channel=channel or None, before=position, limit=PAGE_SIZE + 1
            )
        last = messages[PAGE_SIZE - 1] if len(messages) > PAGE_SIZE else None
        cursor = "" if last is None else encode_cursor((last.at, last.message_id))
        rows = await _to_inbox_messages(context, principal, messages[:PAGE_SIZE])
        chosen = message or (rows[0].id if rows else "")
        return await renderer.render_page(
            request, principal, "inbox.html", at,
            page="inbox",
            rows=rows,
            channel=channel,
            customer=customer,
            chosen=chosen,
            stage=await _load_chosen_message(context, principal, chosen, at) if chosen else None,
            older=link(PATH, channel=channel, customer=customer, before=cursor) if cursor else None,
            explicit=bool(message),
            channel_filters=[
                ("", "All"),
                *((each.id, each.short_label or each.label) for each in channel_declarations),
            ],
        )  # fmt: skip

    _add_contents(routes, context)
    return routes


def _add_contents(routes: APIRouter, context: ConsoleContext) -> None:
    """What the page shows in a frame of its own or offers as a file."""

    @routes.get(PATH + "/{id}/body")
    async def body(id: str, _: Principal = requires("sandbox:read")) -> Response:
        async with context.database.read() as tx:
            row = await sandbox_store.get_message(tx, id)
        content = None if row is None else decode_content(row.content)
        if not content or "html" not in content:
            raise NotFound("there is no such e-mail")
        return HTMLResponse(wrap_email_html(content["html"]), headers=dict(MESSAGE_BODY_HEADERS))

    @routes.get(PATH + "/{id}/document")
    async def document(id: str, _: Principal = requires("sandbox:read")) -> Response:
        async with context.database.read() as tx:
            row = await sandbox_store.get_message(tx, id)
        content = None if row is None else decode_content(row.content)
        if row is None or not content or not CHANNEL_REGISTRY.declarations[row.channel].has_document:
            raise NotFound("there is no such document")
        module = CHANNEL_REGISTRY.load_module(row.channel, "document")
        try:
            drawn = await asyncio.to_thread(module.draw_document, row.message_id, row.to_address or "", content)
        except (ValueError, RenderError):  # an address that the sheet has no room for
            raise NotFound("this message cannot be drawn") from None
        named = {"Content-Disposition": f'attachment; filename="{row.message_id}.pdf"'}
        return Response(drawn, media_type=module.MEDIA_TYPE, headers={**MESSAGE_BODY_HEADERS, **named})


async def _load_chosen_message(context: ConsoleContext, principal: Principal, id: str, at: WallClock) -> dict[str, Any]:
    """Loads all messages of the event behind the chosen message. Raises NotFound."""
    async with context.database.read() as tx:
        row = await sandbox_store.get_message(tx, id)
        if row is None:
            raise NotFound("there is no such message in the sandbox")
        event = await store.get_message_event(tx, id)
        rows = [row]
        if event is not None:
            rows = [*await sandbox_store.list_messages_of_event(tx, row.customer, event.source, event.id)]
        decision_by_message = {
            item.message_id: await store.get_newest_decision(tx, row.customer, item.message_id) for item in rows
        }
        receipts = {item.message_id: await list_receipts(tx, item.message_id) for item in rows}
    messages = await _to_inbox_messages(context, principal, rows)
    main = next(item for item in messages if item.id == id)
    return {
        "main": main,
        "messages": messages,
        "pages": [item for item in messages if item.preview == "page"],
        "others": [item for item in messages if item.preview != "page"],
        "event": next((item.decision.event for item in decision_by_message.values() if item), None),
        "decisions": {key: item.decision_id for key, item in decision_by_message.items() if item},
        "became": {id: [(describe_receipt(each), each.at) for each in said] for id, said in receipts.items()},
        "summaries": {item.id: CHANNELS_BY_ID[item.channel].summarise(item.content) for item in messages},
        "remarks": {item.id: _cost_remark(context, item) for item in messages if item.preview == "bubble"},
        "hidden": {item.id: list_hidden(item.content) for item in messages if item.preview in ("card", "post")},
        "posts": {item.id: read_post(item) for item in messages if item.preview == "post"},
        "pieces": {item.id: split_links(item.content.get("text", "")) for item in messages if item.preview == "bubble"},
    }


def _cost_remark(context: ConsoleContext, message: InboxMessage) -> str:
    """What it would cost, and how it would cost less; empty where nothing is known of that."""
    cost = context.costs.estimate(message.channel, message.content, message.to or None)
    saving = CHANNELS_BY_ID[message.channel].measure(message.content).get("suggestion", "")
    sentences = [f"About {cost} ({cost.basis})." if cost else "", f"Could be cheaper: {saving}." if saving else ""]
    return " ".join(filter(None, sentences))


async def _to_inbox_messages(context: ConsoleContext, principal: Principal, rows: Sequence[Any]) -> list[InboxMessage]:
    preferences: Mapping[str, Preference] = {}
    if may_see_names(principal):
        preferences = await context.get_preferences([row.customer for row in rows])
    return [_to_inbox_message(context, row, customer_name(preferences.get(row.customer))) for row in rows]


def _to_inbox_message(context: ConsoleContext, row: Any, name: str | None) -> InboxMessage:
    content = decode_content(row.content) or {}
    declaration = CHANNEL_REGISTRY.declarations[row.channel]
    subject = content.get("subject") or content.get("title") or content.get("text", "")
    text = content.get("preheader") or content.get("body") or content.get("text") or ""
    snippet = " ".join(text.split())
    return InboxMessage(
        id=row.message_id,
        channel=row.channel,
        preview=declaration.preview,
        campaign=context.campaign_name(row.campaign),
        customer=row.customer,
        name=name,
        at=row.at,
        to=kind_of_address(row.channel).shorten(row.to_address or ""),
        content=content,
        subject=subject,
        snippet=cut_text(snippet, _SNIPPET_LENGTH) + ("…" if len(snippet) > _SNIPPET_LENGTH else ""),
        link=link(PATH, message=row.message_id),
        document=f"{PATH}/{row.message_id}/document" if declaration.has_document else None,
    )


def read_post(message: InboxMessage) -> Mapping[str, Any]:
    """The parts of a message of a chat program, as its frame shows them."""
    content = message.content
    names = (("button", "link"), ("second_button", "second_link"))
    return {
        "title": content.get("title"),
        "pieces": split_links(content.get("text", "")),
        "facts": list(json.loads(content.get("facts", "{}")).items()),
        "image": content.get("image"),
        "image_text": content.get("image_text"),
        "buttons": [(content[label], content[target]) for label, target in names if label in content],
        "severity": content.get("severity"),
        "is_public": message.channel in CHANNELS_WITHOUT_ADDRESS,
    }


def wrap_email_html(html: str) -> str:
    """Wraps an HTML fragment as a mail program would: with default fonts and margins."""
    return html if "<html" in html.lower() else _PLAIN_PAGE_HEAD + html


def split_links(text: str) -> list[tuple[str, bool]]:
    """Splits a text into pieces, each marked as a web link or not. Other schemes stay text."""
    pieces: list[tuple[str, bool]] = []
    last = 0
    for match in _WEB_LINK.finditer(text):
        pieces += [(text[last : match.start()], False), (match[0], True)]
        last = match.end()
    return [piece for piece in [*pieces, (text[last:], False)] if piece[0]]


def list_hidden(content: Mapping[str, str]) -> list[tuple[str, str]]:
    """All fields of a message of which a card shows a part alone: where it leads, and what only machines read."""
    if content.keys() <= _SEEN_ON_A_CARD and len(content.get("body", "")) <= _SEEN_CHARACTERS:
        return []
    return [(name.replace("_", " "), value) for name, value in content.items()]
