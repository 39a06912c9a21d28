"""Page frame: navigation, response headers, and error pages shared by all console pages."""

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote, urlencode

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.responses import HTMLResponse, RedirectResponse, Response

from schemas.facts import HoldFact
from schemas.roles import is_allowed
from services.kit.errors import Invalid, TactfulError, Unauthorised
from services.kit.http.auth import Principal
from services.kit.http.path_segments import quote_segment
from services.kit.http.sessions import csrf_token
from services.kit.observability import logs
from services.orchestrator.console import decision_words
from services.orchestrator.console.console_context import ConsoleContext
from services.orchestrator.console.static_files import StaticAssets
from services.orchestrator.console.time_format import WallClock

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


MENU: Final = (
    (
        "",
        (
            MenuEntry("home", "Home", "home", HOME_PATH, "decisions:read"),
            MenuEntry("inbox", "Sandbox inbox", "inbox", "/console/inbox", "sandbox:read"),
        ),
    ),
    (
        "Understand",
        (
            MenuEntry("decisions", "Decisions", "list-details", "/console/decisions", "decisions:read"),
            MenuEntry("why", "Why (not)?", "help-hexagon", "/console/why", "why:read"),
            MenuEntry("customers", "Customers", "users", "/console/customers", "customers:read"),
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
            by=decision_words.CHANNEL_PHRASES,
            reasons=decision_words.REASONS,
            link=link,
            customer_link=customer_link,
        )
        self._environment.filters["thousands"] = lambda number: f"{number:,}"

    async def render_page(
        self, request: Request, principal: Principal, template: str, at: WallClock, *, status: int = 200, **values: Any
    ) -> Response:
        """Renders a whole page for a signed-in person. `at` is the wall clock for its times."""
        holds = await self.get_active_holds(at)
        menu = [
            (title, [entry for entry in entries if is_allowed(principal.role, entry.action)]) for title, entries in MENU
        ]
        html = self._environment.get_template(template).render(
            at=at,
            me=principal,
            may=lambda action: is_allowed(principal.role, action),
            menu=[(title, entries) for title, entries in menu if entries],
            holds=holds,
            sandbox=self._context.sandbox,
            csrf=csrf_token(request),
            **values,
        )
        return HTMLResponse(html, status)

    async def get_active_holds(self, at: WallClock) -> tuple[HoldFact, ...] | None:
        """Returns the holds on all customers in force now, or None while suppression does not answer."""
        try:
            holds = await self._context.suppression.get_holds()
        except TactfulError as error:
            logs.log_error("console_holds_unknown", error, "warning")
            return None
        return tuple(hold for hold in holds if hold.start <= at.now and (hold.until is None or at.now < hold.until))

    def render_fragment(self, template: str, **values: Any) -> str:
        """Renders a part of a page, without the frame."""
        return self._environment.get_template(template).render(**values)

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
                    response = _error_response(renderer, request, Invalid("a parameter in this address is invalid"))
                except TactfulError as error:
                    response = _error_response(renderer, request, error)
                for name, value in PAGE_HEADERS.items():
                    response.headers.setdefault(name, value)
                return response

            return handle

    return PageRoute


def _error_response(renderer: PageRenderer, request: Request, error: TactfulError) -> Response:
    signed_out = isinstance(error, Unauthorised)
    if signed_out and request.method == "GET" and "text/html" in request.headers.get("accept", ""):
        return RedirectResponse(SIGN_IN_PATH, 303)
    if error.status >= 500 and error.status != 503:
        logs.log_error("page_failed", error)
    detail = error.detail if error.status < 500 else "Please try again in a moment."
    return renderer.render_public_page(
        "error.html", status=error.status, title=error.title, detail=detail, signed_out=signed_out
    )
