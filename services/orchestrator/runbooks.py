"""Runbooks over HTTP: `GET /runbooks/{name}` answers what `deploy/runbooks` says about an alert.

The alerts' annotation `runbook_url` is an address, so that whoever is paged can open it. It leads here unless
`make rules RUNBOOKS=ADDRESS` has entered another base. A runbook holds no data, so no key is needed at night.
"""

from pathlib import Path

from fastapi import APIRouter
from starlette.responses import PlainTextResponse

from services.kit.errors import NotFound
from services.kit.http.auth import public
from services.kit.http.openapi import page_answers

DIRECTORY = Path(__file__).parents[2] / "deploy/runbooks"


def runbook_routes(directory: Path = DIRECTORY) -> APIRouter:
    """Builds the route. The texts are read once: they do not change while a process runs."""
    texts = {path.name: path.read_text(encoding="utf-8") for path in sorted(directory.glob("*.md"))}
    routes = APIRouter(prefix="/runbooks", tags=["operations"])

    @routes.get(
        "/{name}",
        summary="What an alert means and what to do",
        response_class=PlainTextResponse,
        dependencies=[public()],
        **page_answers([200], NotFound, media_type="text/plain"),
    )
    async def read_runbook(name: str) -> PlainTextResponse:
        text = texts.get(name.lower())
        if text is None:
            raise NotFound(
                f"There is no runbook {name!r}; there are: {', '.join(texts) or 'none in this installation'}"
            )
        return PlainTextResponse(text)

    return routes
