"""All routes of the console."""

from fastapi import APIRouter
from starlette.responses import Response

from services.kit.errors import NotFound
from services.kit.http.auth import public
from services.orchestrator.console import (
    adapters_page,
    agent_actions,
    agent_customer_page,
    agent_lookup_page,
    customer_page,
    customers_page,
    dead_letters_page,
    erasure_page,
    find_page,
    holds_page,
    home_page,
    inbox_page,
    live_page,
    operations_page,
    provider_sign_in_page,
    replies_page,
    sign_in_page,
    static_files,
    suppressions_page,
    why_page,
)
from services.orchestrator.console.console_context import ConsoleContext
from services.orchestrator.console.page_frame import PageRenderer, page_route_class

__all__ = ["ConsoleContext", "console_routers"]


def console_routers(context: ConsoleContext) -> list[APIRouter]:
    """Builds one router per page; the last one answers every other path below `/console`."""
    assets = static_files.StaticAssets()
    renderer = PageRenderer(context, assets)
    return [
        static_files.static_file_routes(assets),
        sign_in_page.sign_in_page_routes(context, renderer),
        provider_sign_in_page.provider_sign_in_routes(context, renderer),
        home_page.home_page_routes(context, renderer),
        live_page.decisions_page_routes(context, renderer),
        inbox_page.inbox_page_routes(context, renderer),
        why_page.why_page_routes(context, renderer),
        customers_page.customers_page_routes(context, renderer),
        customer_page.customer_page_routes(context, renderer),
        agent_lookup_page.agent_lookup_page_routes(context, renderer),
        agent_customer_page.agent_customer_page_routes(context, renderer),
        agent_actions.agent_action_routes(context, renderer),
        dead_letters_page.dead_letters_page_routes(context, renderer),
        erasure_page.erasure_page_routes(context, renderer),
        find_page.find_page_routes(context, renderer),
        holds_page.holds_page_routes(context, renderer),
        replies_page.replies_page_routes(context, renderer),
        suppressions_page.suppressions_page_routes(context, renderer),
        adapters_page.adapters_page_routes(context, renderer),
        operations_page.operations_page_routes(context, renderer),
        _not_found_routes(renderer),
    ]


def _not_found_routes(renderer: PageRenderer) -> APIRouter:
    routes = APIRouter(include_in_schema=False, route_class=page_route_class(renderer))

    @routes.get("/console/{path:path}", dependencies=[public()])
    async def not_found(path: str) -> Response:
        raise NotFound("there is no page at this address")

    return routes
