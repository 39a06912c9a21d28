"""Page frame: navigation, response headers, and error pages shared by all console pages.

An error is a page too: in the frame, with what to do next. Whoever is not signed in sees it without the frame.
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple
from urllib.parse import quote, urlencode

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import ClientDisconnect
from starlette.responses import HTMLResponse, RedirectResponse, Response

from schemas.facts import HoldFact
from schemas.roles import is_allowed
from services.kit.errors import Invalid, TactfulError, Transient, Unauthorised
from services.kit.http.auth import LIST_CUSTOMERS, Principal, authenticate
from services.kit.http.path_segments import quote_segment
from services.kit.http.sessions import csrf_token
from services.kit.observability import logs
from services.orchestrator.console import decision_words
from services.orchestrator.console.console_context import ConsoleContext
from services.orchestrator.console.markup import breakable, mark_code
from services.orchestrator.console.static_files import StaticAssets
from services.orchestrator.console.time_format import UTC_CLOCK_ZONE, WallClock
from services.orchestrator.sign_in.sign_in_attempts import console_path

HOLDS_SECONDS: Final = 1.0
"""Seconds that the frame of a page waits for the holds: every page has it, most of them need nothing else of theirs."""
HOME_PATH: Final = "/console/"
SIGN_IN_PATH: Final = "/console/sign-in"
PAGE_HEADERS: Final[Mapping[str, str]] = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:;"
    " font-src 'self'; connect-src 'self'; frame-src 'self'; form-action 'self'; frame-ancestors 'none';"
    " base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "no-store",
}
"""Headers of every page, including error pages."""


@dataclass(frozen=True, slots=True)
class MenuEntry:
    """A page in the navigation."""

    key: str
    name: str
    icon: str
    path: str
    action: str
    lists: bool = False
    """It names many customers."""


MENU: Final = (
    (
        "",
        (
            MenuEntry("home", "Home", "home", HOME_PATH, "decisions:read"),
            MenuEntry("agent", "Serve a customer", "search", "/console/agent", "customers:serve"),
            MenuEntry("inbox", "Sandbox inbox", "inbox", "/console/inbox", "sandbox:read", lists=True),
        ),
    ),
    (
        "Understand",
        (
            MenuEntry("decisions", "Decisions", "list-details", "/console/decisions", "decisions:read", lists=True),
            MenuEntry("why", "Why (not)?", "help-hexagon", "/console/why", "why:read"),
            MenuEntry("customers", "Customers", "users", "/console/customers", "decisions:read", lists=True),
        ),
    ),
    (
        "Operate",
        (
            MenuEntry("operations", "Operations", "activity", "/console/operations", "adapters:read"),
            MenuEntry("holds", "Holds", "hand-stop", "/console/holds", "holds:read"),
            MenuEntry("replies", "Replies", "message", "/console/replies", "replies:read"),
            MenuEntry("suppressions", "Do not contact", "user-off", "/console/suppressions", "suppressions:read"),
            MenuEntry("adapters", "Channels and adapters", "plug", "/console/adapters", "adapters:read"),
            MenuEntry("dead-letters", "Dead letters", "archive", "/console/dead-letters", "dead_letters:read"),
        ),
    ),
)


class PageRenderer:
    """Renders templates inside the page frame."""

    def __init__(self, context: ConsoleContext, assets: StaticAssets) -> None:
        self._context = context
        self._environment = Environment(
            loader=PackageLoader("services.orchestrator.console"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.globals.update(
            asset=assets.url,
            outcomes=decision_words.OUTCOMES,
            channels=decision_words.CHANNELS,
            channel_label=decision_words.channel_label,
            by=decision_words.CHANNEL_PHRASES,
            reasons=decision_words.REASONS,
            link=link,
            customer_link=customer_link,
        )
        self._environment.filters["thousands"] = lambda number: f"{number:,}"
        self._environment.filters["breakable"] = breakable
        self._environment.filters["mark_code"] = mark_code

    async def render_page(
        self,
        request: Request,
        principal: Principal | None,
        template: str,
        at: WallClock,
        *,
        status: int = 200,
        **values: Any,
    ) -> Response:
        """Renders a whole page in its frame. `at` is the wall clock for its times; the frame names its zone.

        `principal` is None on the page that says why nobody can be recognised: its menu has every page.
        """

        def may(action: str) -> bool:
            return principal is None or is_allowed(principal.role, action)

        menu = [
            (title, [each for each in entries if may(each.action) and (not each.lists or may(LIST_CUSTOMERS))])
            for title, entries in MENU
        ]
        html = self._environment.get_template(template).render(
            at=at,
            me=principal,
            may=may,
            menu=[(title, entries) for title, entries in menu if entries],
            holds=await self.get_active_holds(at),
            sandbox=self._context.sandbox,
            csrf=csrf_token(request),
            **values,
        )
        return HTMLResponse(html, status)

    async def render_error(self, request: Request, error: TactfulError) -> Response:
        """Renders an error as a page with its status."""
        words = error_words(error, logs.trace_id.get())
        signed_out = isinstance(error, Unauthorised)
        principal = None if signed_out else await _find_principal(request)
        if principal is None and not isinstance(error, Transient):
            return self.render_public_page(
                "error-outside.html", status=error.status, words=words, signed_out=signed_out
            )
        return await self.render_page(
            request, principal, "error.html", await self._get_wall_clock(),
            status=error.status,
            page="",
            words=words,
            can_search=error.status == 404,
            again=str(request.url.path) if error.status == 503 and request.method == "GET" else "",
        )  # fmt: skip

    async def _get_wall_clock(self) -> WallClock:
        """The organisation's wall clock, or one in UTC while the database does not answer."""
        try:
            return await self._context.get_wall_clock()
        except TactfulError:
            return WallClock(UTC_CLOCK_ZONE, self._context.clock.now())

    async def get_active_holds(self, at: WallClock) -> tuple[HoldFact, ...] | None:
        """Returns the holds on all customers in force now, or None while suppression does not answer."""
        try:
            async with asyncio.timeout(HOLDS_SECONDS):
                holds = await self._context.suppression.get_holds()
        except (TactfulError, TimeoutError) as error:
            logs.log_error("console_holds_unknown", error, "warning")
            return None
        return tuple(hold for hold in holds if hold.start <= at.now and (hold.until is None or at.now < hold.until))

    def render_fragment(self, template: str, **values: Any) -> str:
        """Renders a part of a page, without the frame."""
        return self._environment.get_template(template).render(**values)

    def render_sign_in_page(
        self, *, status: int = 200, token: str = "", fault: str = "", next_path: str = HOME_PATH
    ) -> Response:
        """Renders the page on which people sign in. `next_path`: the page that they want to see."""
        oidc = self._context.settings.oidc
        return self.render_public_page(
            "sign-in.html",
            status=status,
            token=token,
            fault=fault,
            next_path="" if next_path == HOME_PATH else next_path,
            has_provider=self._context.provider_sign_in is not None,
            takes_keys=oidc.key_sign_in,
        )

    def render_public_page(self, template: str, *, status: int = 200, **values: Any) -> Response:
        """Renders a page for a person who is not signed in."""
        return HTMLResponse(self._environment.get_template(template).render(**values), status)


def link(path: str, **query: object) -> str:
    """Returns a console path with its query; empty and None values are left out."""
    present = {name: value for name, value in query.items() if value not in (None, "")}
    return f"{quote(path)}{'?' if present else ''}{urlencode(present)}"


def customer_link(customer: str, **query: object) -> str:
    """Returns the path of a customer's page. Browsers remove the segments `.` and `..`, however they are encoded."""
    if customer in (".", ".."):
        return link("/console/customer", id=customer, **query)
    present = link("", **query)
    return f"/console/customers/{quote_segment(customer)}{present}"


class ErrorWords(NamedTuple):
    """What an error page says: what happened, the details, and what to do about it."""

    title: str
    detail: str
    advice: str


def error_words(error: TactfulError, trace_id: str) -> ErrorWords:
    """An error in words. An internal one does not reveal its cause, only the id under which the logs have it."""
    detail = f"{error.detail[:1].upper()}{error.detail[1:]}".rstrip(".") + "."
    match error.status:
        case 401:
            return ErrorWords("You are not signed in", detail, "Sign in, then open the page again.")
        case 403:
            advice = "Ask an administrator for a key with one of these roles and sign in with it."
            return ErrorWords("You may not open this", detail, advice if "role" in detail else "")
        case 404:
            return ErrorWords("Not found", detail, "Check the address, or search for what you expected here.")
        case 503:
            advice = "Nothing is lost: events and messages wait. Try again in a moment."
            return ErrorWords("No answer at the moment", detail, advice)
        case status if status >= 500:
            advice = f"Try again. If it stays, report the id {trace_id}: log lines with this id have the cause."
            return ErrorWords("Something failed on our side", "This page could not be made.", advice)
    return ErrorWords(error.title, detail, "Go back, correct it, and try again.")


async def _find_principal(request: Request) -> Principal | None:
    """Who asks, or None if that cannot be told."""
    try:
        return await authenticate(request)
    except TactfulError:
        return None


def page_route_class(renderer: PageRenderer) -> type[APIRoute]:
    """Returns the route class of pages: it adds the headers and renders errors as pages.

    A person who is not signed in is redirected to the sign-in page; script requests get the bare status.
    """

    class PageRoute(APIRoute):
        def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
            original_handler = super().get_route_handler()

            async def handle(request: Request) -> Response:
                try:
                    response = await original_handler(request)
                except RequestValidationError:
                    fault = Invalid("a parameter in this address is invalid")
                    response = await _error_response(renderer, request, fault)
                except TactfulError as error:
                    response = await _error_response(renderer, request, error)
                except ClientDisconnect:
                    raise
                except Exception as error:
                    logs.log_error("page_failed", error)
                    response = await _error_response(renderer, request, Unexpected())
                for name, value in PAGE_HEADERS.items():
                    response.headers.setdefault(name, value)
                return response

            return handle

    return PageRoute


class Unexpected(TactfulError):
    """An exception that nobody expected, as a page shows it."""


async def _error_response(renderer: PageRenderer, request: Request, error: TactfulError) -> Response:
    signed_out = isinstance(error, Unauthorised)
    if signed_out and request.method == "GET" and "text/html" in request.headers.get("accept", ""):
        wanted = f"{request.url.path}{'?' if request.url.query else ''}{request.url.query}"
        wanted = console_path(wanted, HOME_PATH, SIGN_IN_PATH)
        return RedirectResponse(link(SIGN_IN_PATH, next="" if wanted == HOME_PATH else wanted), 303)
    if error.status >= 500 and error.status != 503 and not isinstance(error, Unexpected):
        logs.log_error("page_failed", error)
    return await renderer.render_error(request, error)
