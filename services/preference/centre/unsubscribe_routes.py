"""Public routes of the unsubscribe links, `/u/{token}`: one click is enough, and for ever.

A GET changes nothing, since mail scanners follow links. A POST accepts any body and reads none of it (RFC 8058, one-
click unsubscribe). Afterwards a link that is not old offers a way back, which records a new consent by its own words,
and less in place of none.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse
from msgspec.structs import replace

from schemas.facts import OptOut, Preference
from schemas.link_tokens import LinkToken, is_fresh, sign_token, verify_token
from schemas.policy_topics import PolicyTopic, PolicyTopics
from schemas.times import Instant
from schemas.vocabulary import Class
from services.erasure.erased_customers import CustomerErased
from services.kit.http.auth import public
from services.kit.http.openapi import page_answers
from services.kit.http.request_body import described_body
from services.preference.centre.change_sentences import describe_changes
from services.preference.centre.choices import Cell, Permissions, read_cells, renew_consents
from services.preference.centre.consent_wording import ConsentWording, word_way_back
from services.preference.centre.form import FORM_MEDIA_TYPE, WAY_BACK_FORM, UnreadableForm, read_way_back
from services.preference.centre.languages import PageLanguage
from services.preference.centre.link_context import LinkContext
from services.preference.centre.saving import permission_fields
from services.preference.centre.topic_texts import ShownTopic, show_topics
from services.preference.consents.change_origin import ChangeOrigin, origin_of
from services.preference.editor import Choice


class WayBack(NamedTuple):
    """What taking an unsubscription back brings: these cells, by these words."""

    cells: tuple[Cell, ...]
    wording: ConsentWording


class _WordsHaveChanged(Exception):
    """What the person would agree to is not what stood on the page."""


def unsubscribe_routes(context: LinkContext) -> APIRouter:
    """`/u/{token}` and `/u/{token}/back`."""
    router = APIRouter(dependencies=[public()], tags=["centre"], default_response_class=HTMLResponse)
    answers = _UnsubscribeAnswers(context)

    @router.get("/u/{token}", summary="Ask before unsubscribing; changes nothing", **page_answers([200]))
    async def show_unsubscribe(token: str, request: Request) -> HTMLResponse:
        return await answers.ask(token, request)

    @router.post("/u/{token}", summary="Unsubscribe: RFC 8058 one-click", **page_answers([200, 202]))
    async def post_unsubscribe(token: str, request: Request) -> HTMLResponse:
        return await answers.unsubscribe(token, request)

    @router.post(
        "/u/{token}/back",
        summary="Take an unsubscription back, with a new consent",
        dependencies=[described_body({FORM_MEDIA_TYPE: WAY_BACK_FORM})],
        **page_answers([200]),
    )
    async def take_back(token: str, request: Request) -> HTMLResponse:
        return await answers.take_back(token, request)

    return router


def applied_opt_out(link: LinkToken, topics: Sequence[PolicyTopic]) -> OptOut:
    """The opt-out that a link makes: of its topic, or of marketing when that is required or not named."""
    required = any(topic.required and topic.key == link.topic for topic in topics)
    return OptOut(cls=Class.MARKETING.value) if link.topic is None or required else OptOut(topic=link.topic)


def find_way_back(
    preference: Preference, entry: OptOut, topics: Sequence[ShownTopic], language: PageLanguage, now: Instant
) -> WayBack | None:
    """What would be on again without this opt-out; None where it would be nothing."""
    if entry not in preference.opt_outs:
        return None
    plain = [shown.topic for shown in topics]
    left = tuple(each for each in preference.opt_outs if each != entry)
    before = read_cells(preference, plain, now)
    after = read_cells(replace(preference, opt_outs=left), plain, now)
    cells = tuple(cell for cell, on in after.items() if on and not before[cell])
    if not cells:
        return None
    about = []
    for shown in topics:
        if channels := [language.channel(cell.channel) for cell in cells if cell.topic == shown.topic.key]:
            name = language.text("“%(name)s”", name=shown.name)
            about.append(f"{name} ({', '.join(channels)})")
    sentence = language.text("Yes, write to me about %(topics)s again, as before.", topics=language.join(about))
    return WayBack(cells, word_way_back(language, sentence))


class _UnsubscribeAnswers:
    """Answers the requests."""

    def __init__(self, context: LinkContext) -> None:
        self._context = context

    async def ask(self, token: str, request: Request) -> HTMLResponse:
        link = verify_token(self._context.keys, token, "u")
        if link is None:
            return self._context.invalid_link(request)
        preference, topics = await self._context.read_customer(link.customer)
        language = self._context.language(request, preference)
        subject = _subject(applied_opt_out(link, topics), show_topics(topics, language), language)
        heading = language.text("Stop messages about %(subject)s?", subject=subject)
        line = language.text(
            "You will get no more messages about %(subject)s. What you need, such as receipts, still comes.",
            subject=subject,
        )
        act = {
            "action": self._context.with_language(request, f"/u/{token}"),
            "fields": [("List-Unsubscribe", "One-Click")],
            "button": language.text("Unsubscribe"),
            "primary": True,
        }
        less = self._less(link, request, language.text("Rather fewer messages than none"))
        return self._context.message(request, language, 200, heading, line, act=act, **less)

    async def unsubscribe(self, token: str, request: Request) -> HTMLResponse:
        link = verify_token(self._context.keys, token, "u")
        if link is None:
            return self._context.invalid_link(request)
        enforcement, entry = await self._context.editor.unsubscribe(link, origin_of(request))
        preference, topics = await self._context.read_customer(link.customer)
        language = self._context.language(request, preference)
        line = language.text("This is in force now.")
        if not enforcement.enforced:
            line = language.text("A message that is on its way right now may still reach you; after that, none will.")
        status = 200 if enforcement.enforced else 202
        return self._unsubscribed(token, request, link, preference, topics, entry, language, line, status)

    async def take_back(self, token: str, request: Request) -> HTMLResponse:
        link = verify_token(self._context.keys, token, "u")
        if link is None:
            return self._context.invalid_link(request)
        preference, topics = await self._context.read_customer(link.customer)
        language = self._context.language(request, preference)
        try:
            result = await self._take_back(link, await read_way_back(request), language, origin_of(request))
        except UnreadableForm:
            result = None
        except _WordsHaveChanged:
            line = language.text("What you would get has changed meanwhile. Please look again.")
            entry = applied_opt_out(link, topics)
            return self._unsubscribed(token, request, link, preference, topics, entry, language, line, 200)
        except CustomerErased:
            heading = language.text("We hold nothing about you any more.")
            return self._context.message(request, language, 200, heading)
        less = self._less(link, request, language.text("Choose what you get"))
        if result is None:
            return self._context.message(request, language, 200, language.text("Nothing has been changed."), **less)
        shown = show_topics(topics, language)
        sentences = describe_changes(*result, shown, language, self._context.now())
        return self._context.message(request, language, 200, language.text("You are back."), *sentences, **less)

    async def _take_back(
        self, link: LinkToken, wording: str, language: PageLanguage, origin: ChangeOrigin
    ) -> tuple[Preference, Preference] | None:
        """The preferences before and after; None where there is nothing to take back, or the link is too old for it."""
        now, found = self._context.now(), False
        if not is_fresh(link, now):
            return None

        def compute(before: Preference, topics: PolicyTopics | None) -> Choice:
            nonlocal found
            plain = () if topics is None else topics.topics
            entry = applied_opt_out(link, plain)
            way_back = find_way_back(before, entry, show_topics(plain, language), language, now)
            if way_back is None:
                return Choice({})
            if way_back.wording.key != wording:
                raise _WordsHaveChanged
            found = True
            fields = permission_fields(before, taken_back(before, entry, way_back, plain, now))
            return Choice(fields, texts=[(way_back.wording.text, way_back.wording.locale)])

        result = await self._context.editor.choose(link.customer, compute, origin=origin)
        return (result.before.preference, result.after.preference) if found else None

    def _unsubscribed(
        self,
        token: str,
        request: Request,
        link: LinkToken,
        preference: Preference,
        topics: Sequence[PolicyTopic],
        entry: OptOut,
        language: PageLanguage,
        line: str,
        status: int,
    ) -> HTMLResponse:
        shown, now = show_topics(topics, language), self._context.now()
        subject = _subject(entry, shown, language)
        first = language.text("You will get no more messages about %(subject)s.", subject=subject)
        values: dict[str, Any] = self._less(link, request, language.text("Rather fewer messages than none"))
        if is_fresh(link, now) and (way_back := find_way_back(preference, entry, shown, language, now)) is not None:
            action = self._context.with_language(request, f"/u/{token}/back")
            values["back"] = {
                "action": action,
                "sentence": way_back.wording.text,
                "wording": way_back.wording.key,
            }
        heading = language.text("You are unsubscribed")
        return self._context.message(request, language, status, heading, first, line, **values)

    def _less(self, link: LinkToken, request: Request, text: str) -> dict[str, Any]:
        """A link to `How often` of the preference centre, as old as the link that was followed; none for an old one."""
        if not is_fresh(link, self._context.now()):
            return {}
        token = sign_token(self._context.keys.signing, LinkToken("p", link.customer, None, link.issued))
        return {"less": f"{self._context.with_language(request, f'/p/{token}')}#how-often", "less_text": text}


def taken_back(
    before: Preference, entry: OptOut, way_back: WayBack, topics: Sequence[PolicyTopic], now: Instant
) -> Permissions:
    """The permissions without this opt-out, with a new consent for each cell that is on again."""
    left = Permissions(tuple(each for each in before.opt_outs if each != entry), before.consent)
    return renew_consents(left, topics, way_back.cells, way_back.wording.key, now)


def _subject(entry: OptOut, topics: Sequence[ShownTopic], language: PageLanguage) -> str:
    """What an opt-out stops, in words."""
    named = next((shown.name for shown in topics if shown.topic.key == entry.topic), entry.topic)
    return language.text("our offers and news") if named is None else language.text("“%(name)s”", name=named)
