"""What every page shares: its frame, its headers, and how errors look to people."""

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
from schemas.roles import may
from services.kit.errors import Invalid, TactfulError, Unauthorised
from services.kit.http.auth import Principal
from services.kit.http.sessions import csrf_token
from services.kit.observability import logs
from services.orchestrator.console import decision_words
from services.orchestrator.console.console_context import Parts
from services.orchestrator.console.static_files import Assets
from services.orchestrator.console.time_format import Calendar

HOME: Final = "/console/"
SIGN_IN: Final = "/console/sign-in"
HEADERS: Final[Mapping[str, str]] = {
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
"""What every page is sent with, errors too."""


@dataclass(frozen=True, slots=True)
class Entry:
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
            Entry("home", "Home", "home", HOME, "decisions:read"),
            Entry("inbox", "Sandbox inbox", "inbox", "/console/inbox", "sandbox:read"),
        ),
    ),
    (
        "Understand",
        (
            Entry("decisions", "Decisions", "list-details", "/console/decisions", "decisions:read"),
            Entry("why", "Why (not)?", "help-hexagon", "/console/why", "why:read"),
            Entry("customers", "Customers", "users", "/console/customers", "customers:read"),
        ),
    ),
)


class Frame:
    """Renders templates inside the frame of all pages."""

    def __init__(self, parts: Parts, assets: Assets) -> None:
        self._parts = parts
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
            by=decision_words.BY,
            reasons=decision_words.REASONS,
            link=link,
        )
        self._environment.filters["thousands"] = lambda number: f"{number:,}"

    async def show(
        self, request: Request, principal: Principal, template: str, at: Calendar, *, status: int = 200, **values: Any
    ) -> Response:
        """A whole page for somebody who has signed in. `at` is the wall clock that its times are read from."""
        holds = await self.holds(at)
        menu = [(title, [entry for entry in entries if may(principal.role, entry.action)]) for title, entries in MENU]
        html = self._environment.get_template(template).render(
            at=at,
            me=principal,
            may=lambda action: may(principal.role, action),
            menu=[(title, entries) for title, entries in menu if entries],
            holds=holds,
            sandbox=self._parts.sandbox,
            csrf=csrf_token(request),
            **values,
        )
        return HTMLResponse(html, status)

    async def holds(self, at: Calendar) -> tuple[HoldFact, ...] | None:
        """Everybody's holds in force now; None while nobody can say."""
        try:
            found = await self._parts.suppression.get_holds()
        except TactfulError as error:
            logs.log_error("console_holds_unknown", error, "warning")
            return None
        return tuple(hold for hold in found if hold.start <= at.now and (hold.until is None or at.now < hold.until))

    def part(self, template: str, **values: Any) -> str:
        """A part of a page, without the frame."""
        return self._environment.get_template(template).render(**values)

    def outside(self, template: str, *, status: int = 200, **values: Any) -> Response:
        """A page for somebody who has not signed in."""
        return HTMLResponse(self._environment.get_template(template).render(**values), status)


def link(path: str, **query: object) -> str:
    """A path of ours with its query; empty and absent values are left out."""
    given = {name: value for name, value in query.items() if value not in (None, "")}
    return f"{quote(path)}{'?' if given else ''}{urlencode(given)}"


def page_class(frame: Frame) -> type[APIRoute]:
    """The class of routes whose answers are for people: they send the headers, and show errors as pages.

    A stranger is led to the sign-in; what only scripts ask for gets the bare status.
    """

    class Page(APIRoute):
        def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
            answer = super().get_route_handler()

            async def handle(request: Request) -> Response:
                try:
                    response = await answer(request)
                except RequestValidationError:
                    response = _failure(frame, request, Invalid("a part of this address cannot be read"))
                except TactfulError as error:
                    response = _failure(frame, request, error)
                for name, value in HEADERS.items():
                    response.headers.setdefault(name, value)
                return response

            return handle

    return Page


def _failure(frame: Frame, request: Request, error: TactfulError) -> Response:
    stranger = isinstance(error, Unauthorised)
    if stranger and request.method == "GET" and "text/html" in request.headers.get("accept", ""):
        return RedirectResponse(SIGN_IN, 303)
    if error.status >= 500 and error.status != 503:
        logs.log_error("page_failed", error)
    detail = error.detail if error.status < 500 else "Please try again in a moment."
    return frame.outside("error.html", status=error.status, title=error.title, detail=detail, stranger=stranger)
