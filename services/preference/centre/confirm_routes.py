"""The public page behind the link in the message that asks to confirm a consent.

A GET changes nothing, since mail scanners follow links; the button sends a POST, of whose body nothing is read. A
forged link gets the same status, headers and kind of page as a genuine one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, assert_never

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from schemas.link_tokens import LinkToken, day_of, sign_token, verify_token
from schemas.policy_topics import PolicyTopic
from services.kit.http.auth import public
from services.kit.http.openapi import page_answers
from services.preference.centre.languages import PageLanguage
from services.preference.centre.link_context import LinkContext
from services.preference.centre.topic_texts import show_topics
from services.preference.consents.change_origin import origin_of
from services.preference.consents.consent_requests import Confirmation, ConfirmationOutcome, ConsentRequests
from services.preference.consents.request_store import ConsentRequest
from services.preference.consents.wordings import KeptWording, find_wordings


class ConfirmationTexts(NamedTuple):
    """What the page says: a heading and sentences. `has_button`: it asks, and shows the words that are agreed to.
    `has_centre`: it leads to the customer's own page.
    """

    heading: str
    lines: Sequence[str]
    has_button: bool = False
    has_centre: bool = False


def confirm_routes(context: LinkContext, requests: ConsentRequests) -> APIRouter:
    """`/c/{token}`."""
    router = APIRouter(dependencies=[public()], tags=["consents"], default_response_class=HTMLResponse)

    @router.get("/c/{token}", summary="Ask before confirming a consent; changes nothing", **page_answers([200]))
    async def show_confirmation(token: str, request: Request) -> HTMLResponse:
        link = verify_token(context.keys, token, "c")
        found = Confirmation(ConfirmationOutcome.UNKNOWN) if link is None else await requests.find_asked(link)
        return await answer(request, token, found)

    @router.post("/c/{token}", summary="Confirm a consent, once", **page_answers([200]))
    async def confirm_consent(token: str, request: Request) -> HTMLResponse:
        link = verify_token(context.keys, token, "c")
        if link is None:
            return await answer(request, token, Confirmation(ConfirmationOutcome.UNKNOWN))
        return await answer(request, token, await requests.confirm(link, origin_of(request)))

    async def answer(request: Request, token: str, found: Confirmation) -> HTMLResponse:
        if found.request is None:
            language = context.language(request)
            texts = word_confirmation(found, language, "", "")
            return context.message(request, language, 200, texts.heading, *texts.lines)
        preference, topics = await context.read_customer(found.request.customer)
        language = context.language(request, preference)
        topic, channel = _topic_name(found.request, topics, language), language.by(found.request.channel)
        texts = word_confirmation(found, language, topic, channel)
        values: dict[str, Any] = {}
        if texts.has_button:
            action = context.with_language(request, f"/c/{token}")
            values["act"] = {"action": action, "fields": [], "button": language.text("Confirm"), "primary": True}
            values["words"] = await _read_words(context, found.request)
        if texts.has_centre:
            link = LinkToken("p", found.request.customer, None, day_of(context.now()))
            centre = context.with_language(request, f"/p/{sign_token(context.keys.signing, link)}")
            values |= {"less": centre, "less_text": language.text("Choose what you get")}
        return context.message(request, language, 200, texts.heading, *texts.lines, **values)

    return router


async def _read_words(context: LinkContext, request: ConsentRequest) -> KeptWording | None:
    """The text that the customer has agreed to, where it is kept."""
    wording = request.proof.wording
    async with context.database.read() as tx:
        return (await find_wordings(tx, [wording])).get(wording or "")


def _topic_name(request: ConsentRequest, topics: Sequence[PolicyTopic], language: PageLanguage) -> str:
    named = (shown.name for shown in show_topics(topics, language) if shown.topic.key == request.topic)
    return next(named, request.topic)


def word_confirmation(found: Confirmation, language: PageLanguage, topic: str, channel: str) -> ConfirmationTexts:
    """The texts for what became of a link. `topic` and `channel` are words: `News`, `e-mail`. Pure."""
    text = language.text
    match found.outcome:
        case ConfirmationOutcome.WAITING:
            asked = text(
                "Somebody has asked for this for your address. If it was you, press the button. If not, do nothing: "
                "then nothing is sent."
            )
            heading = text("Do you want “%(topic)s” by %(channel)s?", topic=topic, channel=channel)
            return ConfirmationTexts(heading, [asked], has_button=True)
        case ConfirmationOutcome.CONFIRMED:
            wanted = text("We have recorded that you want “%(topic)s” by %(channel)s.", topic=topic, channel=channel)
            after = text("You can stop it at any time, by the link in every message.")
            if found.stopped:
                after = text(
                    "You have stopped our advertising before, and that still holds: we send nothing until you allow it "
                    "again in your preferences."
                )
            return ConfirmationTexts(text("Thank you"), [wanted, after], has_centre=True)
        case ConfirmationOutcome.ALREADY:
            before = text(
                "You have confirmed “%(topic)s” by %(channel)s before. Nothing was changed now.",
                topic=topic,
                channel=channel,
            )
            return ConfirmationTexts(text("Already confirmed"), [before], has_centre=True)
        case ConfirmationOutcome.EXPIRED:
            late = text("It worked for seven days. Nothing has been changed: please ask again where you did.")
            return ConfirmationTexts(text("This link is too old"), [late])
        case ConfirmationOutcome.UNKNOWN:
            cut = text("Nothing has been changed. The link may have been cut off on its way.")
            return ConfirmationTexts(text("This link does not work"), [cut, text("Please ask again where you did.")])
        case _ as never:
            assert_never(never)
