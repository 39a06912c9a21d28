"""All pages of the console."""

from fastapi import APIRouter
from starlette.responses import Response

from services.kit.auth import public
from services.kit.errors import NotFound
from services.orchestrator.console import home, inbox, live, signin, static, timeline, why
from services.orchestrator.console.page import Frame, page_class
from services.orchestrator.console.parts import Parts

__all__ = ["Parts", "routers"]


def routers(parts: Parts) -> list[APIRouter]:
    """One router a page; the last one answers for every other path below `/console`."""
    assets = static.Assets()
    frame = Frame(parts, assets)
    return [
        static.router(assets),
        signin.router(parts, frame),
        home.router(parts, frame),
        live.router(parts, frame),
        inbox.router(parts, frame),
        why.router(parts, frame),
        timeline.router(parts, frame),
        _others(frame),
    ]


def _others(frame: Frame) -> APIRouter:
    routes = APIRouter(include_in_schema=False, route_class=page_class(frame))

    @routes.get("/console/{path:path}", dependencies=[public()])
    async def other(path: str) -> Response:
        raise NotFound("there is no page at this address")

    return routes
