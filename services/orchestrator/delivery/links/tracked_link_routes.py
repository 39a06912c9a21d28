"""`/l/{token}` and `/o/{token}`: where links of our own lead, and the picture that shows that a message was opened.

Public, and without cookies: a token says which message it is of, and nothing of the request is kept but its instant and
whether a machine made it. Only targets that were sealed here are redirected to. What is no token of ours, or too old,
gets the same page and changes nothing. No database is asked before the answer.
"""

import base64
from collections.abc import Mapping
from typing import Any, Final

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, Response

from services.kit.http.auth import public
from services.kit.http.middleware import IS_HEAD
from services.kit.http.openapi import page_answers
from services.kit.runtime.clock import Clock
from services.orchestrator.delivery.links.machine_requests import is_machine, is_prefetch
from services.orchestrator.delivery.links.refused_link_page import PAGE_POLICY, REFUSED_LINK_PAGE
from services.orchestrator.delivery.links.sealed_links import LinkKind, LinkSealer, SealedLink
from services.orchestrator.delivery.links.visit_recorder import LinkVisit, VisitRecorder
from services.orchestrator.link_settings import LinkSettings

_HEADERS: Final[Mapping[str, str]] = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Robots-Tag": "noindex, nofollow",
}
_PICTURE: Final = base64.b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")
"""A GIF of one transparent dot."""

_PICTURE_ANSWERS: Final[dict[str, Any]] = {
    **page_answers([200], media_type="image/gif"),
    "responses": {**page_answers([200], media_type="image/gif")["responses"], **page_answers([404])["responses"]},
}


def link_routes(settings: LinkSettings, visits: VisitRecorder, clock: Clock) -> APIRouter:
    """The two routes. They answer as long as there is a key, so that links of earlier messages work when new ones get
    none any more.
    """
    routes = APIRouter(dependencies=[public()], tags=["links"])
    sealer = LinkSealer(settings.keys)

    def open_token(kind: LinkKind, token: str, request: Request) -> SealedLink | None:
        now = clock.now()
        link = sealer.unseal(kind, token, now)
        if link is None:
            visits.metrics.count_visits(kind, "refused")
        elif IS_HEAD in request.scope or is_prefetch(request.headers):
            visits.metrics.count_visits(kind, "not_counted")
        else:
            by_machine = is_machine(request.headers.get("user-agent", ""))
            visits.keep_soon(LinkVisit(kind, link.message_id, link.number, now, by_machine))
        return link

    @routes.get(
        "/l/{token}",
        summary="Follow a link of a message: redirects to the target that is sealed in it",
        response_class=Response,
        **page_answers([302, 404]),
    )
    async def follow_link(token: str, request: Request) -> Response:
        link = open_token("l", token, request)
        if link is None or link.target is None:
            return _refused_link()
        return Response(None, 302, {**_HEADERS, "Location": link.target})

    @routes.get(
        "/o/{token}",
        summary="The picture that shows that a message was opened",
        response_class=Response,
        **_PICTURE_ANSWERS,
    )
    async def show_picture(token: str, request: Request) -> Response:
        if open_token("o", token, request) is None:
            return _refused_link()
        return Response(_PICTURE, 200, {**_HEADERS, "Cross-Origin-Resource-Policy": "cross-origin"}, "image/gif")

    return routes


def _refused_link() -> Response:
    return HTMLResponse(REFUSED_LINK_PAGE, 404, {**_HEADERS, "Content-Security-Policy": PAGE_POLICY})
