"""Sign-in by the company's OpenID provider: the way there, the way back, and what is said where it fails.

What failed is in the log by its code, without who it was; the page says what to do.
"""

from collections.abc import Mapping
from typing import Final

from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from schemas.times import SECOND
from services.kit.errors import NotFound, Permanent, RateLimited, TactfulError
from services.kit.http.auth import public
from services.kit.http.oidc.identity_provider import IdentityProviderUnavailable
from services.kit.http.principals import Principal
from services.kit.observability.logs import log_error
from services.orchestrator.access.api_keys import NameTaken
from services.orchestrator.console.console_context import ConsoleContext
from services.orchestrator.console.page_frame import HOME_PATH, SIGN_IN_PATH, PageRenderer, page_route_class
from services.orchestrator.sign_in.identity import Identity
from services.orchestrator.sign_in.people import PersonDisabled, principal_of
from services.orchestrator.sign_in.provider_sign_in import CALLBACK_PATH, CallbackAnswer, ProviderSignIn
from services.orchestrator.sign_in.sign_in_attempts import ATTEMPT_LIFETIME, console_path

BEGIN_PATH: Final = "/console/sign-in/begin"
ATTEMPT_COOKIE: Final = "tactful_sign_in"
PROVIDER_KEY_ID: Final = "provider"
"""What an entry of the audit log has for the key of whoever the provider knows and we do not let in."""
_TELL: Final = "If it stays so, tell an administrator: the log has the cause under sign_in_failed."
_UNVERIFIED: Final = (
    f"What the company's sign-in has sent could not be verified, so nobody was signed in. Start again. {_TELL}"
)
FAULTS: Final[Mapping[str, str]] = {
    "state_refused": "This sign-in was begun in another browser or tab, was used already, or took longer than 10 "
    "minutes. Start again.",
    "provider_refused": "The company's sign-in has not let you in, or you stopped. Start again, or ask whoever looks "
    "after it.",
    "identity_provider_unavailable": "The company's sign-in does not answer as it should at the moment. Try again in a "
    "minute. If it stays so, tell an administrator: `tactful doctor` says what is wrong.",
    "rate_limited": "Too many people are signing in at this moment. Try again in a few seconds.",
    "clocks_differ": "The clocks of the company's sign-in and of this installation differ by more than a minute, so "
    "nobody was signed in. Tell an administrator.",
    "no_role": "The company's sign-in knows you, but nothing that it says of you gives you a role here. Ask an "
    "administrator for one.",
    "no_scope": "The company's sign-in does not say which campaigns you may change. Ask an administrator.",
    "no_name": "The company's sign-in does not say by which name you are known here. Ask an administrator.",
    "name_taken": "The name that the company's sign-in gives you is, or looks like, that of somebody else here. Ask an "
    "administrator.",
    "person_disabled": "Your access has been disabled here. Ask an administrator.",
}
"""What the page says, by the code of the error."""


def provider_sign_in_routes(context: ConsoleContext, renderer: PageRenderer) -> APIRouter:
    """Builds the routes of the way to the provider and back."""
    routes = APIRouter(include_in_schema=False, route_class=page_route_class(renderer))
    page = _ProviderSignInPage(context, renderer)

    @routes.get(BEGIN_PATH, dependencies=[public()])
    async def begin_sign_in(next: str = "") -> Response:
        return await page.begin(next)

    @routes.get(CALLBACK_PATH, dependencies=[public()])
    async def complete_sign_in(
        request: Request, state: str = "", code: str = "", error: str = "", iss: str = ""
    ) -> Response:
        secret = request.cookies.get(ATTEMPT_COOKIE, "")
        response = await page.answer_callback(secret, CallbackAnswer(state, code, error, iss))
        page.clear_cookie(response)
        return response

    return routes


class _ProviderSignInPage:
    """The answers of these routes."""

    def __init__(self, context: ConsoleContext, renderer: PageRenderer) -> None:
        self._context = context
        self._renderer = renderer
        self._secure = context.settings.web.public_url.startswith("https:")

    async def begin(self, next_path: str) -> Response:
        provider = self._require_provider()
        try:
            begun = await provider.begin(console_path(next_path, HOME_PATH, SIGN_IN_PATH))
        except (IdentityProviderUnavailable, RateLimited) as error:
            return self._show_fault(error)
        response = RedirectResponse(begun.url, 303)
        response.set_cookie(
            ATTEMPT_COOKIE,
            begun.secret,
            max_age=ATTEMPT_LIFETIME // SECOND,
            path=SIGN_IN_PATH,
            secure=self._secure,
            httponly=True,
            samesite="lax",
        )
        return response

    def clear_cookie(self, response: Response) -> None:
        """Deletes the cookie of a sign-in that has ended."""
        response.delete_cookie(ATTEMPT_COOKIE, path=SIGN_IN_PATH, secure=self._secure, httponly=True, samesite="lax")

    async def answer_callback(self, secret: str, answer: CallbackAnswer) -> Response:
        provider = self._require_provider()
        try:
            identity, next_path = await provider.complete_sign_in(secret, answer)
            return await self._let_in(provider, identity, next_path)
        except (IdentityProviderUnavailable, Permanent) as error:
            return self._show_fault(error)

    async def _let_in(self, provider: ProviderSignIn, identity: Identity, next_path: str) -> Response:
        try:
            person = await provider.people.admit(identity)
        except (PersonDisabled, NameTaken):
            refused = Principal(identity.name, identity.role, PROVIDER_KEY_ID)
            await self._context.audit.record_sign_in("sign_in_refused", refused, CALLBACK_PATH)
            raise
        await self._context.audit.record_sign_in("signed_in", principal_of(person), CALLBACK_PATH)
        lifetime = provider.session_lifetime
        id = await self._context.sessions.open_person_session(person.name, person.role, person.id, lifetime)
        response = RedirectResponse(next_path, 303)
        self._context.sessions.set_cookie(response, id, lifetime)
        return response

    def _require_provider(self) -> ProviderSignIn:
        if self._context.provider_sign_in is None:
            raise NotFound("people sign in by key here: TACTFUL_OIDC__ISSUER is not set")
        return self._context.provider_sign_in

    def _show_fault(self, error: TactfulError) -> Response:
        names_somebody = isinstance(error, NameTaken)
        log_error("sign_in_failed", error, "warning", cause="" if names_somebody else error.detail)
        fault = FAULTS.get(error.code, _UNVERIFIED)
        return self._renderer.render_sign_in_page(fault=fault, status=error.status)
