"""The public page behind the link in the message that asks to confirm a consent.

A GET changes nothing, since mail scanners follow links; the button sends a POST, of whose body nothing is read. A
forged link gets the same status, headers and kind of page as a genuine one.
"""

from __future__ import annotations

from typing import assert_never

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from schemas.link_tokens import LinkKeys, LinkToken, day_of, sign_token, verify_token
from schemas.policy_topics import PolicyTopics
from schemas.words import channel_words
from services.kit.db.database import Database
from services.kit.http.auth import public
from services.kit.http.openapi import page_answers
from services.kit.runtime.clock import Clock
from services.preference import store
from services.preference.consents import confirm_page
from services.preference.consents.change_origin import origin_of
from services.preference.consents.consent_requests import Confirmation, ConfirmationOutcome, ConsentRequests
from services.preference.consents.request_store import ConsentRequest
from services.preference.consents.wordings import KeptWording, find_wordings


def confirm_routes(database: Database, requests: ConsentRequests, clock: Clock, keys: LinkKeys) -> APIRouter:
    """`/c/{token}`; `keys` sign the tokens."""
    router = APIRouter(dependencies=[public()], tags=["consents"], default_response_class=HTMLResponse)

    @router.get("/c/{token}", summary="Ask before confirming a consent; changes nothing", **page_answers([200]))
    async def show_confirmation(token: str) -> HTMLResponse:
        link = verify_token(keys, token, "c")
        if link is None:
            return _to_page(confirm_page.unknown_page())
        return await answer(await requests.find_asked(link), f"/c/{token}")

    @router.post("/c/{token}", summary="Confirm a consent, once", **page_answers([200]))
    async def confirm_consent(token: str, request: Request) -> HTMLResponse:
        link = verify_token(keys, token, "c")
        if link is None:
            return _to_page(confirm_page.unknown_page())
        return await answer(await requests.confirm(link, origin_of(request)), "")

    async def answer(found: Confirmation, action: str) -> HTMLResponse:
        wording = found.request.proof.wording if found.request is not None else None
        async with database.read() as tx:
            topics = await store.get_topics(tx)
            kept = (await find_wordings(tx, [wording])).get(wording or "")
        preferences = ""
        if found.request is not None:
            link = LinkToken("p", found.request.customer, None, day_of(clock.now()))
            preferences = f"/p/{sign_token(keys.signing, link)}"
        return _to_page(_page_of(found, topics, kept, action, preferences))

    return router


def _page_of(
    found: Confirmation, topics: PolicyTopics | None, kept: KeptWording | None, action: str, preferences: str
) -> str:
    if found.request is None:
        return confirm_page.unknown_page()
    subject = _subject(found.request, topics)
    match found.outcome:
        case ConfirmationOutcome.WAITING:
            words, locale = (None, None) if kept is None else (kept.text, kept.locale)
            return confirm_page.ask_page(subject, action, words, locale)
        case ConfirmationOutcome.CONFIRMED:
            return confirm_page.confirmed_page(subject, found.stopped, preferences)
        case ConfirmationOutcome.ALREADY:
            return confirm_page.already_page(subject)
        case ConfirmationOutcome.EXPIRED:
            return confirm_page.expired_page()
        case ConfirmationOutcome.UNKNOWN:
            return confirm_page.unknown_page()
        case _ as never:
            assert_never(never)


def _subject(request: ConsentRequest, topics: PolicyTopics | None) -> str:
    """What is confirmed, worded for the customer: `News by e-mail`."""
    named = next((topic.name for topic in topics.topics if topic.key == request.topic), None) if topics else None
    return f"{named or request.topic} by {channel_words(request.channel)}"


def _to_page(html: str) -> HTMLResponse:
    return HTMLResponse(html, 200, confirm_page.CONFIRM_HEADERS)
