"""Routes that pages of other origins may call: the answers of CORS, for a closed list of origins.

Credentials of the browser (cookies) are never allowed: who asks proves it in `Authorization`. Errors carry the headers
as well, because a page can read no answer without them.
"""

from collections.abc import Collection
from typing import Any, Final

from fastapi import APIRouter
from fastapi.routing import APIRoute
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

PREFLIGHT_SECONDS: Final = 600
"""For so long a browser remembers what it may ask."""
_PREFLIGHT: Final = {
    "Access-Control-Allow-Methods": "GET, POST",
    "Access-Control-Allow-Headers": "Authorization, Content-Type, Last-Event-ID",
    "Access-Control-Max-Age": str(PREFLIGHT_SECONDS),
}
"""Says nothing to a page of another origin, which misses `Access-Control-Allow-Origin`."""


def cross_origin_router(origins: Collection[str], **options: Any) -> APIRouter:
    """A router whose routes pages of these origins may call. `options`: those of a router, with its prefix."""

    class CrossOriginRoute(APIRoute):
        """Adds the headers to every answer of the route, and answers what browsers ask before they ask it."""

        async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
            send_with_headers = _with_headers(scope, send, origins)
            if scope["method"] == "OPTIONS":
                await Response(status_code=204, headers=_PREFLIGHT)(scope, receive, send_with_headers)
            else:
                await super().handle(scope, receive, send_with_headers)

    return APIRouter(route_class=CrossOriginRoute, **options)


def _with_headers(scope: Scope, send: Send, origins: Collection[str]) -> Send:
    origin = Headers(scope=scope).get("origin")

    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(raw=list(message.get("headers", ())))
            headers.add_vary_header("Origin")
            if origin is not None and origin in origins:
                headers["Access-Control-Allow-Origin"] = origin
                headers["Access-Control-Expose-Headers"] = "Retry-After"
            message = {**message, "headers": headers.raw}
        await send(message)

    return send_with_headers
