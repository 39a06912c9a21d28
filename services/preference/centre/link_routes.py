"""The doors that customers reach by the links in their messages.

A link that we did not make is answered like one that we made: same status, same headers, same kind of page. A GET
changes nothing, since mail scanners follow links; a POST takes any body and reads none of it (RFC 8058).
"""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from schemas.facts import OptOut, Preference
from schemas.times import Instant
from services.kit.db.database import Database
from services.kit.http.auth import public
from services.kit.runtime.clock import Clock
from services.preference import store
from services.preference.centre import page_html
from services.preference.editor import Editor
from services.preference.link_tokens import Token, read, sign
from services.preference.preference_state import empty, facts

MARKETING = "our offers and news"


def centre_routes(database: Database, editor: Editor, clock: Clock, key: bytes) -> APIRouter:
    """`/u/{token}` and `/p/{token}`; `key` signs the tokens."""
    router = APIRouter(dependencies=[public()], tags=["centre"], default_response_class=HTMLResponse)

    @router.get("/u/{token}", summary="Ask before unsubscribing; changes nothing")
    async def ask(token: str) -> HTMLResponse:
        known = read(key, token, "u")
        if known is None:
            return _page(page_html.unknown())
        async with database.read() as tx:
            topics = await store.topics(tx)
        return _page(page_html.question(_what(OptOut(topic=known.topic), topics), f"/u/{token}"))

    @router.post("/u/{token}", summary="Unsubscribe: RFC 8058 one-click")
    async def unsubscribe(token: str) -> HTMLResponse:
        known = read(key, token, "u")
        if known is None:
            return _page(page_html.unknown())
        enforcement, chosen = await editor.unsubscribe(known)
        async with database.read() as tx:
            topics = await store.topics(tx)
        page = page_html.done(_what(chosen, topics), enforcement.enforced)
        return _page(page, 200 if enforcement.enforced else 202)

    @router.get("/p/{token}", summary="What the customer gets")
    async def centre(token: str) -> HTMLResponse:
        known = read(key, token, "p")
        if known is None:
            return _page(page_html.unknown())
        async with database.read() as tx:
            topics = await store.topics(tx)
            state = (await store.states(tx, [known.customer])).get(known.customer) or empty(known.customer)
        preference = facts(state)
        rows = [page_html.Row(topic.name, _status(topic, preference)) for topic in topics.topics] if topics else []
        action = f"/u/{sign(key, Token('u', known.customer))}"
        return _page(page_html.centre(rows, _notice(preference, clock.now()), action))

    return router


def _page(html: str, status: int = 200) -> HTMLResponse:
    return HTMLResponse(html, status, page_html.HEADERS)


def _what(entry: OptOut, topics: store.Topics | None) -> str:
    """What an opt-out stops, in words for the customer."""
    if entry.topic is None:
        return MARKETING
    topic = next((topic for topic in topics.topics if topic.key == entry.topic), None) if topics else None
    if topic is None:
        return entry.topic
    return MARKETING if topic.required else topic.name


def _status(topic: store.TopicFact, preference: Preference) -> str:
    if topic.required:
        return "Needed"
    entries = preference.opt_outs
    if any(entry.all or (entry.topic == topic.key and entry.channel is None) for entry in entries):
        return "Off"
    silent = sorted({entry.channel for entry in entries if entry.channel and entry.topic in (None, topic.key)})
    if any(entry.cls == "marketing" for entry in entries):
        return "No advertising"
    return f"On, but not by {', '.join(silent)}" if silent else "On"


def _notice(preference: Preference, now: Instant) -> str:
    if any(entry.all for entry in preference.opt_outs):
        return "You get nothing but messages that you need."
    if preference.paused_until is not None and preference.paused_until > now:
        return "You have paused our messages. Those that you need still come."
    if any(entry.cls == "marketing" for entry in preference.opt_outs):
        return "You get no advertising."
    return "You can stop our advertising at any time."
