"""Where agents look up the one customer they serve: by id, address or name, each look-up recorded with its reason.

There is no list of customers here. Several people of one name are offered up to a few, and beyond that an agent must
ask for more than the name.
"""

import re
from typing import Final, NamedTuple

from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from services.kit.errors import Invalid
from services.kit.http.audit_trail import note_customer, note_reason
from services.kit.http.auth import Principal, requires
from services.kit.http.sessions import read_form
from services.orchestrator.console import store
from services.orchestrator.console.console_context import ConsoleContext, customer_name
from services.orchestrator.console.page_frame import PageRenderer, link, page_route_class

PATH: Final = "/console/agent"
CUSTOMER_PATH: Final = "/console/agent/customer"
SERVE: Final = "customers:serve"
"""The action of agents: to see and serve one customer whom they have looked up."""
MAX_TEXT: Final = 256
MAX_REASON: Final = 100
MAX_FOUND: Final = 5
MIN_NAME: Final = 3


class FoundCustomer(NamedTuple):
    """A customer who may be meant."""

    id: str
    name: str | None
    way: str
    path: str


def agent_customer_link(customer: str, **query: object) -> str:
    """The path of the page for agents about a customer."""
    return link(CUSTOMER_PATH, customer=customer, **query)


def agent_lookup_page_routes(context: ConsoleContext, renderer: PageRenderer) -> APIRouter:
    """Builds the routes of the look-up."""
    routes = APIRouter(include_in_schema=False, route_class=page_route_class(renderer))

    @routes.get(PATH)
    async def show_empty_page(request: Request, principal: Principal = requires(SERVE)) -> Response:
        return await render_look_up(request, principal)

    @routes.post(PATH)
    async def submit_look_up(request: Request, principal: Principal = requires(SERVE)) -> Response:
        """By POST, so that an address or a name is never part of a URL."""
        fields = await read_form(request)
        text, reason = (" ".join(fields.get(name, "").split()) for name in ("text", "reason"))
        if not text or len(text) > MAX_TEXT:
            raise Invalid(f"type an id, an address or a name, of at most {MAX_TEXT} characters")
        note_reason(check_reason(reason, text))
        found = await _find(context, text)
        for each in found[:MAX_FOUND]:
            note_customer(each.id)
        if len(found) == 1:
            return RedirectResponse(found[0].path, 303)
        return await render_look_up(request, principal, text, found)

    async def render_look_up(
        request: Request, principal: Principal, text: str = "", found: list[FoundCustomer] | None = None
    ) -> Response:
        return await renderer.render_page(
            request, principal, "agent-lookup.html", await context.get_wall_clock(),
            page="agent",
            text=text,
            found=found,
            most=MAX_FOUND,
        )  # fmt: skip

    return routes


def check_reason(reason: str, text: str) -> str:
    """The reason of a look-up. The audit log is kept without end, so it must not say who was sought. Raises Invalid."""
    if len(reason) > MAX_REASON or not reason.isprintable():
        raise Invalid(f"the reason has at most {MAX_REASON} printable characters")
    if "@" in reason or re.search(rf"(?<!\w){re.escape(text.casefold())}(?!\w)", reason.casefold()):
        raise Invalid(
            "the reason holds whom you look for: it stays in the audit log without end, so name the case instead"
        )
    return reason


async def _find(context: ConsoleContext, text: str) -> list[FoundCustomer]:
    """The customers who may be meant, one more than are offered at most. Raises Transient."""
    found = await context.preference.find_customers(text, MAX_FOUND + 1)
    known = await context.preference.get_facts([text], {})
    async with context.database.read() as tx:
        is_known = await store.is_known_customer(tx, text)
    if known[text].version or is_known:
        return [_found(text, customer_name(known[text]), "id")]
    by_name = found.by_name if len(text) >= MIN_NAME else ()
    ways = {**dict.fromkeys(by_name, "name"), **dict.fromkeys(found.by_address, "address")}
    preferences = await context.get_preferences(list(ways)[: MAX_FOUND + 1])
    return [_found(id, customer_name(preferences.get(id)), way) for id, way in list(ways.items())[: MAX_FOUND + 1]]


def _found(customer: str, name: str | None, way: str) -> FoundCustomer:
    return FoundCustomer(customer, name, way, agent_customer_link(customer))
