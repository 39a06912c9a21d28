"""The do-not-contact list: look-up of an address, removal requests with the buttons of the second person, imports."""

from collections.abc import Sequence
from typing import Annotated, Final

from fastapi import APIRouter, Path, Request
from starlette.responses import RedirectResponse, Response

from schemas.roles import is_allowed
from schemas.suppression_list_api import (
    AskRemovalRequest,
    DecideRemovalRequest,
    EntryQuestion,
    ListedEntry,
)
from services.kit.errors import Invalid, WrongState
from services.kit.http.auth import LIST_CUSTOMERS, Principal, requires
from services.kit.http.sessions import read_form
from services.orchestrator.console.console_context import ConsoleContext
from services.orchestrator.console.page_frame import PageRenderer, page_route_class

PATH: Final = "/console/suppressions"
MAX_ADDRESS: Final = 2048
MAX_REASON: Final = 200
MAX_CUSTOMER: Final = 1024


def suppressions_page_routes(context: ConsoleContext, renderer: PageRenderer) -> APIRouter:
    """Builds the routes of the page."""
    routes = APIRouter(include_in_schema=False, route_class=page_route_class(renderer))
    _add_look_up_routes(routes, context, renderer)
    _add_removal_routes(routes, context)
    return routes


def _add_look_up_routes(routes: APIRouter, context: ConsoleContext, renderer: PageRenderer) -> None:
    async def show(
        request: Request, principal: Principal, address: str = "", entries: Sequence[ListedEntry] = ()
    ) -> Response:
        return await renderer.render_page(
            request, principal, "suppressions.html", await context.get_wall_clock(),
            page="suppressions",
            address=address,
            entries=entries,
            removals=await context.suppression.list_removals() if is_allowed(principal.role, LIST_CUSTOMERS) else None,
            imports=await context.suppression.list_imports(),
        )  # fmt: skip

    @routes.get(PATH)
    async def show_list(request: Request, principal: Principal = requires("suppressions:read")) -> Response:
        return await show(request, principal)

    @routes.post(PATH)
    async def find_address(request: Request, principal: Principal = requires("suppressions:read")) -> Response:
        """By POST, so that the address is never part of a URL."""
        address = (await read_form(request)).get("address", "").strip()
        if not address or len(address) > MAX_ADDRESS:
            raise Invalid(f"type an address, of at most {MAX_ADDRESS} characters")
        return await show(request, principal, address, await context.suppression.find_entries(EntryQuestion(address)))


def _add_removal_routes(routes: APIRouter, context: ConsoleContext) -> None:
    @routes.post(PATH + "/entries/{entry}/remove")
    async def submit_request(
        request: Request,
        entry: Annotated[str, Path(max_length=64)],
        principal: Principal = requires("suppressions:delete"),
    ) -> Response:
        fields = await read_form(request)
        reason, consent_of = (fields.get(name, "").strip() for name in ("reason", "consent_of"))
        if not reason or len(reason) > MAX_REASON or not reason.isprintable() or len(consent_of) > MAX_CUSTOMER:
            raise Invalid(f"say why the entry is to be removed, in at most {MAX_REASON} printable characters")
        asked = AskRemovalRequest(entry, reason, consent_of or None, principal.name)
        answer = await context.suppression.ask_removal(asked)
        if answer.problem is not None:
            raise WrongState(answer.problem)
        return RedirectResponse(PATH, 303)

    @routes.post(PATH + "/removals/{removal}")
    async def submit_removal_decision(
        request: Request,
        removal: Annotated[str, Path(max_length=64)],
        principal: Principal = requires("suppressions:delete"),
    ) -> Response:
        decision = (await read_form(request)).get("decision")
        if decision not in ("approve", "decline"):
            raise Invalid("choose whether the entry is removed")
        asked = DecideRemovalRequest(removal, decision == "approve", principal.name)
        answer = await context.suppression.decide_removal(asked)
        if answer.problem is not None:
            raise WrongState(answer.problem)
        return RedirectResponse(PATH, 303)
