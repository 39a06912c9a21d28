"""The public page behind the link in the message that verifies an address, `/a/{token}`.

A GET changes nothing, since mail scanners follow links; the button sends a POST, of whose body nothing is read. A
forged link gets the same status, headers and kind of page as a genuine one.
"""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from schemas.link_tokens import LinkToken, day_of, sign_token, verify_token
from services.kit.http.auth import public
from services.kit.http.openapi import page_answers
from services.preference.addresses.verifications import AddressVerifications, VerificationAnswer, VerificationOutcome
from services.preference.centre.address_sentences import describe_outcome, name_address
from services.preference.centre.languages import PageLanguage
from services.preference.centre.link_context import LinkContext
from services.preference.consents.change_origin import origin_of


def verify_routes(context: LinkContext, verifications: AddressVerifications) -> APIRouter:
    """`/a/{token}`."""
    router = APIRouter(dependencies=[public()], tags=["addresses"], default_response_class=HTMLResponse)

    @router.get("/a/{token}", summary="Ask before verifying an address; changes nothing", **page_answers([200]))
    async def show_verification(token: str, request: Request) -> HTMLResponse:
        link = verify_token(context.keys, token, "a")
        if link is None:
            return context.invalid_link(request)
        return await answer(link, await verifications.find_asked(link), token, request)

    @router.post("/a/{token}", summary="Verify an address, once", **page_answers([200]))
    async def verify_address_by_link(token: str, request: Request) -> HTMLResponse:
        link = verify_token(context.keys, token, "a")
        if link is None:
            return context.invalid_link(request)
        return await answer(link, await verifications.follow(link, origin_of(request)), token, request)

    async def answer(link: LinkToken, found: VerificationAnswer, token: str, request: Request) -> HTMLResponse:
        if found.outcome is VerificationOutcome.UNKNOWN:
            return context.invalid_link(request)
        preference, _ = await context.read_customer(link.customer)
        language = context.language(request, preference)
        if found.outcome is VerificationOutcome.WAITING:
            return _ask_first(context, request, language, found, token)
        centre = sign_token(context.keys.signing, LinkToken("p", link.customer, None, day_of(context.now())))
        heading, lines = describe_outcome(found, language)
        return context.message(
            request, language, 200, heading, *lines,
            less=context.with_language(request, f"/p/{centre}"), less_text=language.text("Back to your choices"),
        )  # fmt: skip

    return router


def _ask_first(
    context: LinkContext, request: Request, language: PageLanguage, found: VerificationAnswer, token: str
) -> HTMLResponse:
    heading = language.text("Is this address yours?")
    shown = [] if found.address is None else [name_address(found.address, language)]
    lines = [
        *shown,
        language.text("Somebody has given it as yours. If it was you, press the button. If not, do nothing."),
    ]
    act = {
        "action": context.with_language(request, f"/a/{token}"),
        "fields": [],
        "button": language.text("Yes, it is mine"),
        "primary": True,
    }
    return context.message(request, language, 200, heading, *lines, act=act)
