"""All pages of the console."""

from fastapi import APIRouter
from starlette.responses import Response

from services.kit.errors import NotFound
from services.kit.http.auth import public
from services.orchestrator.console import (
    customer_page,
    home_page,
    inbox_page,
    live_page,
    sign_in_page,
    static_files,
    why_page,
)
from services.orchestrator.console.console_context import Parts
from services.orchestrator.console.page_frame import Frame, page_class

__all__ = ["Parts", "routers"]


def routers(parts: Parts) -> list[APIRouter]:
    """One router a page; the last one answers for every other path below `/console`."""
    assets = static_files.Assets()
    frame = Frame(parts, assets)
    return [
        static_files.router(assets),
        sign_in_page.router(parts, frame),
        home_page.router(parts, frame),
        live_page.router(parts, frame),
        inbox_page.router(parts, frame),
        why_page.router(parts, frame),
        customer_page.router(parts, frame),
        _others(frame),
    ]


def _others(frame: Frame) -> APIRouter:
    routes = APIRouter(include_in_schema=False, route_class=page_class(frame))

    @routes.get("/console/{path:path}", dependencies=[public()])
    async def other(path: str) -> Response:
        raise NotFound("there is no page at this address")

    return routes
