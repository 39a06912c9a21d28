"""Public routes of the unsubscribe and preference links in messages.

A forged link gets the same status, headers and kind of page as a genuine one. A GET changes nothing, since mail
scanners follow links; a POST accepts any body and reads none of it (RFC 8058, one-click unsubscribe).
"""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from schemas.facts import OptOut, Preference
from schemas.link_tokens import LinkToken, sign_token, verify_token
from schemas.service_api import PolicyTopic, PolicyTopics
from schemas.times import Instant
from services.kit.db.database import Database
from services.kit.http.auth import public
from services.kit.http.openapi import page_answers
from services.kit.runtime.clock import Clock
from services.preference import store
from services.preference.centre import page_html
from services.preference.editor import PreferenceEditor
from services.preference.preference_state import empty_state, to_facts

MARKETING_LABEL = "our offers and news"


def centre_routes(
    database: Database, editor: PreferenceEditor, clock: Clock, key: bytes, region: str | None
) -> APIRouter:
    """`/u/{token}` and `/p/{token}`; `key` signs the tokens. `region`: the organisation's country."""
    router = APIRouter(dependencies=[public()], tags=["centre"], default_response_class=HTMLResponse)

    @router.get("/u/{token}", summary="Ask before unsubscribing; changes nothing", **page_answers([200]))
    async def show_unsubscribe(token: str) -> HTMLResponse:
        link = verify_token(key, token, "u")
        if link is None:
            return _html_response(page_html.invalid_link_page())
        async with database.read() as tx:
            topics = await store.get_topics(tx)
        return _html_response(
            page_html.unsubscribe_page(_opt_out_label(OptOut(topic=link.topic), topics), f"/u/{token}")
        )

    @router.post("/u/{token}", summary="Unsubscribe: RFC 8058 one-click", **page_answers([200, 202]))
    async def post_unsubscribe(token: str) -> HTMLResponse:
        link = verify_token(key, token, "u")
        if link is None:
            return _html_response(page_html.invalid_link_page())
        enforcement, opt_out = await editor.unsubscribe(link)
        async with database.read() as tx:
            topics = await store.get_topics(tx)
        page = page_html.unsubscribed_page(_opt_out_label(opt_out, topics), enforcement.enforced)
        return _html_response(page, 200 if enforcement.enforced else 202)

    @router.get("/p/{token}", summary="What the customer gets", **page_answers([200]))
    async def show_centre(token: str) -> HTMLResponse:
        link = verify_token(key, token, "p")
        if link is None:
            return _html_response(page_html.invalid_link_page())
        async with database.read() as tx:
            topics = await store.get_topics(tx)
            state = (await store.get_states(tx, [link.customer], region)).get(link.customer)
        preference = to_facts(state or empty_state(link.customer))
        rows = (
            [page_html.TopicRow(topic.name, _topic_status(topic, preference)) for topic in topics.topics]
            if topics
            else []
        )
        action = f"/u/{sign_token(key, LinkToken('u', link.customer))}"
        return _html_response(page_html.centre_page(rows, _opt_out_notice(preference, clock.now()), action))

    return router


def _html_response(html: str, status: int = 200) -> HTMLResponse:
    return HTMLResponse(html, status, page_html.PAGE_HEADERS)


def _opt_out_label(entry: OptOut, topics: PolicyTopics | None) -> str:
    """What an opt-out stops, worded for the customer."""
    if entry.topic is None:
        return MARKETING_LABEL
    topic = next((topic for topic in topics.topics if topic.key == entry.topic), None) if topics else None
    if topic is None:
        return entry.topic
    return MARKETING_LABEL if topic.required else topic.name


def _topic_status(topic: PolicyTopic, preference: Preference) -> str:
    if topic.required:
        return "Needed"
    entries = preference.opt_outs
    if any(entry.all or (entry.topic == topic.key and entry.channel is None) for entry in entries):
        return "Off"
    silenced_channels = sorted(
        {entry.channel for entry in entries if entry.channel and entry.topic in (None, topic.key)}
    )
    if any(entry.cls == "marketing" for entry in entries):
        return "No advertising"
    return f"On, but not by {', '.join(silenced_channels)}" if silenced_channels else "On"


def _opt_out_notice(preference: Preference, now: Instant) -> str:
    if any(entry.all for entry in preference.opt_outs):
        return "You get nothing but messages that you need."
    if preference.paused_until is not None and preference.paused_until > now:
        return "You have paused our messages. Those that you need still come."
    if any(entry.cls == "marketing" for entry in preference.opt_outs):
        return "You get no advertising."
    return "You can stop our advertising at any time."
