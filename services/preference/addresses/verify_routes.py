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
from services.preference.addresses.address_list import main_address
from services.preference.addresses.verifications import AddressVerifications, VerificationAnswer, VerificationOutcome
from services.preference.centre.languages import PageLanguage
from services.preference.centre.link_context import LinkContext
from services.preference.centre.masking import mask_own_address
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
            return _ask(context, request, language, found, token)
        centre = sign_token(context.keys.signing, LinkToken("p", link.customer, None, day_of(context.now())))
        is_main = main_address(preference.addresses, found.address.channel) == found.address if found.address else False
        heading, lines = describe_outcome(found, is_main, language)
        return context.message(
            request, language, 200, heading, *lines,
            less=context.with_language(request, f"/p/{centre}"), less_text=language.text("Back to your choices"),
        )  # fmt: skip

    return router


def _ask(
    context: LinkContext, request: Request, language: PageLanguage, found: VerificationAnswer, token: str
) -> HTMLResponse:
    mask = None if found.address is None else mask_own_address(found.address)
    heading = language.text("Is this address yours?")
    lines = [language.text("Somebody has given it as yours. If it was you, press the button. If not, do nothing.")]
    act = {
        "action": context.with_language(request, f"/a/{token}"),
        "fields": [],
        "button": language.text("Yes, it is mine"),
        "primary": True,
    }
    return context.message(request, language, 200, heading, *([mask] if mask else []), *lines, act=act)


def describe_outcome(found: VerificationAnswer, is_main: bool, language: PageLanguage) -> tuple[str, list[str]]:
    """A heading and sentences about what has become of a link or a code."""
    match found.outcome:
        case VerificationOutcome.VERIFIED:
            lines = []
            if is_main:
                lines.append(language.text("From now on our messages go there."))
            if found.former:
                lines.append(language.text("We do not use the address before it any more."))
            return language.text("Thank you. The address is confirmed."), lines
        case VerificationOutcome.ALREADY:
            return language.text("This address is confirmed already."), [language.text("Nothing has been changed.")]
        case VerificationOutcome.WRONG:
            text = language.plural(
                "You can try once more.", "You can try %(num)d more times.", found.left
            )  # fmt: skip
            return language.text("This is not the code from our last message."), [text]
        case VerificationOutcome.SPENT:
            text = language.text("Have a new code sent to you.")
            return language.text("Too many codes were wrong. This one does not work any more."), [text]
        case VerificationOutcome.EXPIRED:
            text = language.text("Have a new code sent to you.")
            return language.text("This code or link is too old. It worked for 24 hours."), [text]
    return language.text("We have sent no code to this address."), [language.text("Nothing has been changed.")]
