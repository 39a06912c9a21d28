"""Apps around test routes, API keys of every role, and HTTP clients without a network, for the tests of the kit."""

from collections.abc import Sequence
from typing import Any

import httpx
from fastapi import APIRouter, FastAPI, Request
from pydantic import BaseModel, ConfigDict
from starlette.responses import JSONResponse

from schemas.documents import DocumentError
from schemas.roles import Role
from services.kit.errors import Conflict, Problem, Transient
from services.kit.http import request_parsing
from services.kit.http.app_factory import build_app
from services.kit.http.auth import EnvKeyRing, KeyRingChain, Principal, hash_key, public, requires, service_only
from services.kit.http.request_body import document_body
from services.kit.observability import logs
from services.kit.observability.health import Health
from services.kit.observability.metrics import Registry

ADMIN_KEY = "an-admin-key-of-the-tests"
SERVICE_KEY = "a-service-key-of-the-tests"


class Keys:
    """A ring with one key for each role: the key is the role's name."""

    async def find_principal(self, digest: str) -> Principal | None:
        owners = {hash_key(role): Principal(f"person-{role}", role, f"id-{role}") for role in Role}
        return owners.get(digest)


def app_of(router: APIRouter | Sequence[APIRouter], **options: Any) -> FastAPI:
    routers = [router] if isinstance(router, APIRouter) else list(router)
    options = {"registry": Registry(), "health": Health(), "service_key": SERVICE_KEY, **options}
    return build_app(title="test", keys=KeyRingChain(EnvKeyRing(ADMIN_KEY), Keys()), routers=routers, **options)


def client_of(app: FastAPI, key: str | None = None) -> httpx.AsyncClient:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test", headers=headers)


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid")
    limit: int


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid")
    priority: int = 0
    caps: list[Inner] = []


def routes() -> APIRouter:
    router = APIRouter(prefix="/v1")

    @router.get("/things/{key}")
    async def thing(key: str, limit: int = 50, principal: Principal = requires("campaigns:read")) -> dict[str, str]:
        return {"key": key, "who": principal.name}

    @router.post("/raw", dependencies=[requires("campaigns:write")])
    async def raw(request: Request) -> Any:
        return await request_parsing.read_document(request)

    @router.post("/model", dependencies=[requires("campaigns:write")])
    async def model(body: Body = document_body(Body)) -> Body:
        return body

    @router.get("/boom", dependencies=[public()])
    async def boom() -> None:
        raise KeyError("anna@example.com")

    @router.get("/conflict", dependencies=[public()])
    async def conflict() -> None:
        raise Conflict("stopped for good", code="wrong_state", errors=[Problem("/status", "wrong_state", "is stopped")])

    @router.get("/later", dependencies=[public()])
    async def later() -> None:
        raise Transient("busy", retry_after=2.2)

    @router.get("/document", dependencies=[public()])
    async def document() -> None:
        raise DocumentError([("/a/0", "missing", "the field `a` is required")])

    @router.get("/trace", dependencies=[public()])
    async def trace() -> JSONResponse:
        return JSONResponse({"trace": logs.trace_id.get()}, headers={"Cache-Control": "max-age=60"})

    @router.get("/internal", dependencies=[service_only()])
    async def internal() -> dict[str, bool]:
        return {"in": True}

    return router


def problem_of(response: httpx.Response, status: int, code: str) -> dict[str, Any]:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = response.json()
    assert list(body) == ["type", "title", "status", "detail", "instance", "code", "errors", "trace_id"]
    assert (body["status"], body["code"]) == (status, code)
    assert len(body["trace_id"]) == 32
    return body
