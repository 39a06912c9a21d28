"""Sign-in by key and by one-time link, and sign-out. The company's own sign-in is in provider_sign_in_page.py.

The page behind a one-time link has a button, and only pressing it uses the link: mail scanners, chat previews and
prefetching browsers open links but press no buttons.
"""

from contextlib import suppress

from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from schemas.roles import Role, is_allowed
from services.kit.http.audit_trail import NotAudited
from services.kit.http.auth import KeyRing, hash_key, public
from services.kit.http.principals import Principal
from services.kit.http.rate_limits import LimitedKeyRing
from services.kit.http.sessions import SessionStore, read_form, require_same_origin
from services.orchestrator.console.console_context import ConsoleContext
from services.orchestrator.console.page_frame import HOME_PATH, SIGN_IN_PATH, PageRenderer, page_route_class
from services.orchestrator.oidc_settings import CONSOLE_ACTION
from services.orchestrator.sign_in.sign_in_attempts import console_path

SIGN_OUT_PATH = "/console/sign-out"
_LINK_EXPIRED = "This link has been used or is older than 15 minutes. Ask for a new one."
LINK_KEY_ID = "link"
"""What an entry of the audit log has for the key of whoever signs in by a one-time link."""
_KEYS_OFF = "Nobody signs in by key here: sign in with your company account."
_KEY_REFUSED = "This key is unknown or revoked, or its role may not use the console."


class SignInLinks:
    """Creates one-time sign-in links."""

    def __init__(self, sessions: SessionStore, public_url: str) -> None:
        self._sessions = sessions
        self._public_url = public_url.rstrip("/")

    async def issue_token(self, name: str, role: Role) -> str:
        """Returns a token that signs this person in once, within 15 minutes."""
        return await self._sessions.issue_link(name, role)

    async def create_link(self, name: str, role: Role) -> str:
        """Returns the URL to open in a browser."""
        return f"{self._public_url}{SIGN_IN_PATH}?token={await self.issue_token(name, role)}"


def sign_in_page_routes(context: ConsoleContext, renderer: PageRenderer) -> APIRouter:
    """Builds the routes of sign-in and sign-out."""
    routes = APIRouter(include_in_schema=False, route_class=page_route_class(renderer))
    sessions, key_ring = context.sessions, LimitedKeyRing(context.key_ring)

    @routes.get("/", dependencies=[public()])
    async def redirect_root() -> Response:
        return RedirectResponse(HOME_PATH, 307)

    @routes.get("/console", dependencies=[public()])
    async def redirect_console() -> Response:
        return RedirectResponse(HOME_PATH, 307)

    @routes.get(SIGN_IN_PATH, dependencies=[public()])
    async def show_sign_in_form(token: str = "", next: str = "") -> Response:
        return renderer.render_sign_in_page(token=token, next_path=console_path(next, HOME_PATH, SIGN_IN_PATH))

    @routes.post(SIGN_IN_PATH, dependencies=[public()])
    async def sign_in(request: Request) -> Response:
        require_same_origin(request)
        fields = await read_form(request)
        next_path = console_path(fields.get("next", ""), HOME_PATH, SIGN_IN_PATH)
        if token := fields.get("token", ""):
            id, fault = await _open_session_by_link(context, token), _LINK_EXPIRED
        elif not context.settings.oidc.key_sign_in:
            id, fault = None, _KEYS_OFF
        else:
            id, fault = await _open_session_by_key(context, key_ring, fields.get("key", "").strip()), _KEY_REFUSED
        if id is None:
            return renderer.render_sign_in_page(status=403, fault=fault, next_path=next_path)
        response = RedirectResponse(next_path, 303)
        sessions.set_cookie(response, id)
        return response

    @routes.post(SIGN_OUT_PATH, dependencies=[public()])
    async def sign_out(request: Request) -> Response:
        user = await sessions.find_user(request)
        if user is not None:
            await sessions.close_session(request)
            person = None if user.person is None else user.name
            principal = Principal(user.name, user.role, user.person or f"session:{user.id}", person=person)
            with suppress(NotAudited):  # a session ends, whether that can be recorded or not
                await context.audit.record_sign_in("signed_out", principal, SIGN_OUT_PATH)
        response = RedirectResponse(SIGN_IN_PATH, 303)
        sessions.clear_cookie(response)
        return response

    return routes


async def _open_session_by_link(context: ConsoleContext, token: str) -> str | None:
    owner = await context.sessions.find_link_owner(token)
    if owner is None:
        return None
    await context.audit.record_sign_in("signed_in", Principal(owner.name, owner.role, LINK_KEY_ID), SIGN_IN_PATH)
    return await context.sessions.use_link(token)


async def _open_session_by_key(context: ConsoleContext, key_ring: KeyRing, key: str) -> str | None:
    principal = await key_ring.find_principal(hash_key(key)) if key else None
    if principal is None:
        return None
    if not is_allowed(principal.role, CONSOLE_ACTION):
        await context.audit.record_sign_in("sign_in_refused", principal, SIGN_IN_PATH)
        return None
    await context.audit.record_sign_in("signed_in", principal, SIGN_IN_PATH)
    return await context.sessions.open_session(principal.name, principal.role, hash_key(key))
