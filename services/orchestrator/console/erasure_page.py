"""The page Proof of an erasure: what became of each table when a customer was erased, and what remains."""

from typing import Annotated, Any, NamedTuple

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from schemas.ids import describe_invalid_id
from schemas.times import Instant, parse_instant
from services.kit.http.auth import Principal, requires
from services.orchestrator.console.console_context import ConsoleContext
from services.orchestrator.console.page_frame import PageRenderer, page_route_class
from services.orchestrator.erasure.proof import ErasedStoreFields, ErasureFields

PATH = "/console/erasure"
STATE_WORDS = {"not_begun": "has not begun", "erasing": "goes on", "finished": "is finished"}
ACTION_WORDS = {"removed": "Removed", "anonymised": "Made anonymous", "kept": "Kept"}


class StoreLine(NamedTuple):
    """A table as the page shows it. `rows` and `at`: None where nothing is recorded."""

    store: str
    action: str
    rows: int | None
    at: Instant | None
    remains: str


class ServiceLines(NamedTuple):
    """A service, how far it is, and its tables."""

    name: str
    state: str
    finished: Instant | None
    rows: int
    stores: list[StoreLine]


def erasure_page_routes(context: ConsoleContext, renderer: PageRenderer) -> APIRouter:
    """Builds the route of the page."""
    routes = APIRouter(include_in_schema=False, route_class=page_route_class(renderer))

    @routes.get(PATH)
    async def show_erasure(
        request: Request,
        customer: Annotated[str, Query(max_length=256)] = "",
        principal: Principal = requires("customers:erase"),
    ) -> Response:
        at = await context.get_wall_clock()
        is_asked = bool(customer) and describe_invalid_id(customer) is None
        proof = await context.erasures.load(customer) if is_asked else None
        return await renderer.render_page(
            request, principal, "erasure.html", at, page="customers", customer=customer, **_words(proof)
        )

    return routes


def _words(proof: ErasureFields | None) -> dict[str, Any]:
    if proof is None:
        return {"proof": None, "services": []}
    services = [
        ServiceLines(
            name,
            STATE_WORDS[each["state"]],
            _instant(each["finished"]),
            each["rows"],
            [_line(store) for store in each["stores"]],
        )
        for name, each in proof["services"].items()
    ]
    return {"proof": proof, "services": services}


def _line(store: ErasedStoreFields) -> StoreLine:
    action = ACTION_WORDS[store["action"]]
    return StoreLine(store["store"], action, store["rows"], _instant(store["at"]), store["remains"])


def _instant(text: str | None) -> Instant | None:
    return None if text is None else parse_instant(text)
