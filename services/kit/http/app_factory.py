"""The app factory: every service's HTTP interface has the same health, metrics, errors, limits and default deny."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, RouteContext, iter_route_contexts
from pydantic import BaseModel, SecretStr
from starlette.responses import JSONResponse, Response

from services.kit.http import middleware, problems
from services.kit.http.auth import GuardContext, KeyRing, RouteAccess, hash_key, public
from services.kit.http.idempotency import IdempotencyStore, ReplayResponse
from services.kit.http.sessions import SessionStore
from services.kit.observability.exposition import render_metrics
from services.kit.observability.health import Health, failures
from services.kit.observability.metrics import Registry

MAX_BODY = 1024 * 1024
_DISABLED_FEATURES: Mapping[str, Any] = {
    "docs_url": None,
    "redoc_url": None,
    "openapi_url": None,
    "telemetry": {"tracing": False, "metrics": False, "logs": False},
}
Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[Any]]
AccessTable = Mapping[tuple[str, str], RouteAccess]


def build_app(
    *,
    title: str,
    registry: Registry,
    health: Health,
    keys: KeyRing,
    routers: Sequence[APIRouter],
    service_key: SecretStr | str | None = None,
    idempotency: IdempotencyStore | None = None,
    sessions: SessionStore | None = None,
    max_body: int = MAX_BODY,
    lifespan: Lifespan | None = None,
    version: str = "1",
) -> FastAPI:
    """Builds one service's app.

    Raises ValueError for a route without `requires`, `public` or `service_only`, for one with several of them, for
    `service_only` routes without a service key, and for mounts, which cannot be guarded. `max_body` is in bytes.
    """
    app = FastAPI(title=title, version=version, lifespan=lifespan, redirect_slashes=False, **_DISABLED_FEATURES)
    for router in (*routers, _operations_routes(health, registry)):
        app.include_router(router)
    contexts = list(iter_route_contexts(app.routes))
    secret = service_key.get_secret_value() if isinstance(service_key, SecretStr) else service_key
    app.state.access = _build_access_table(contexts, bool(secret))
    app.state.guards = GuardContext(
        keys, hash_key(secret) if secret else None, idempotency, sessions, _query_parameters(contexts)
    )
    problems.install_error_handlers(app)
    app.add_exception_handler(ReplayResponse, _handle_replay)
    templates = {id(context.original_route): str(context.path_format) for context in contexts}
    app.add_middleware(
        middleware.EdgeMiddleware,
        durations=middleware.request_durations(registry, templates),
        routes=templates,
        max_body=max_body,
        idempotency=idempotency,
    )
    app.openapi = lambda: _generate_openapi(app, FastAPI.openapi)  # type: ignore[method-assign]
    return app


def access_table(app: FastAPI) -> AccessTable:
    """Returns who may call what, as (method, path template): for the test of all routes against all roles."""
    table: AccessTable = app.state.access
    return table


def _build_access_table(contexts: Iterable[RouteContext], has_service_key: bool) -> AccessTable:
    table: dict[tuple[str, str], RouteAccess] = {}
    for context in contexts:
        if not isinstance(context.original_route, APIRoute):
            raise ValueError(
                f"{context.path}: only APIRoutes can be guarded, not a {type(context.original_route).__name__}"
            )
        name = f"{'/'.join(sorted(context.methods or ()))} {context.path_format}"
        declared = [item.call for item in _walk_dependencies(context.dependant) if isinstance(item.call, RouteAccess)]
        if len(set(declared)) != 1:
            raise ValueError(
                f"{name}: declare one of requires(action), public() or service_only(); found {len(declared)}"
            )
        if declared[0].kind == "service" and not has_service_key:
            raise ValueError(f"{name}: a service_only route needs build_app(service_key=...)")
        table.update({(method, str(context.path_format)): declared[0] for method in context.methods or ()})
    return table


def _query_parameters(contexts: Iterable[RouteContext]) -> dict[int, frozenset[str]]:
    known: dict[int, frozenset[str]] = {}
    for context in contexts:
        names = frozenset(
            name
            for item in _walk_dependencies(context.dependant)
            for param in item.query_params
            for name in _parameter_names(param)
        )
        known[id(context.original_route)] = known.get(id(context.original_route), frozenset()) | names
    return known


def _parameter_names(param: Any) -> Iterator[str]:
    kind = param.field_info.annotation
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        yield from (info.alias or name for name, info in kind.model_fields.items())
    else:
        yield param.alias


def _walk_dependencies(dependant: Dependant) -> Iterator[Dependant]:
    yield dependant
    for child in dependant.dependencies:
        yield from _walk_dependencies(child)


async def _handle_replay(_: Request, error: Exception) -> Response:
    assert isinstance(error, ReplayResponse)
    return middleware.replay_response(error.response)


def _operations_routes(health: Health, registry: Registry) -> APIRouter:
    router = APIRouter(dependencies=[public()], tags=["operations"])

    @router.get("/livez", summary="Is this process alive")
    async def livez() -> JSONResponse:
        stuck = health.stuck_loops()
        body = {"status": "stuck", "loops": stuck} if stuck else {"status": "alive"}
        return JSONResponse(body, 503 if stuck else 200)

    @router.get("/readyz", summary="Can this process work now; ?verbose=1 lists the checks")
    async def readyz(verbose: str = "0") -> JSONResponse:
        results = await health.run_checks()
        failing = failures(results)
        body: dict[str, object] = {"status": "not_ready", "failing": failing} if failing else {"status": "ready"}
        if verbose not in ("0", "false"):
            body["checks"] = {
                name: {
                    "ok": item.ok,
                    "seconds": item.seconds,
                    **({"detail": item.detail} if item.detail else {}),
                    **({} if item.required else {"required": False}),
                }
                for name, item in results.items()
            }
        return JSONResponse(body, 503 if failing else 200)

    @router.get("/startupz", summary="Has this process started")
    async def startupz() -> JSONResponse:
        return JSONResponse({"status": "started" if health.started else "starting"}, 200 if health.started else 503)

    @router.get("/metrics", summary="Metrics: OpenMetrics, or Prometheus' text format for `Accept: text/plain`")
    def metrics(request: Request) -> Response:
        text, media_type = render_metrics(registry, request.headers.get("accept", ""))
        return Response(text, media_type=media_type)

    @router.get("/openapi.json", include_in_schema=False)
    async def openapi(request: Request) -> Response:
        return Response(json.dumps(request.app.openapi()), media_type="application/json")

    return router


def _generate_openapi(app: FastAPI, generate: Callable[[FastAPI], dict[str, Any]]) -> dict[str, Any]:
    """Builds FastAPI's document with the bearer key, the action of each operation, and our error form."""
    document = generate(app)
    parts = document.setdefault("components", {})
    if "securitySchemes" in parts:
        return document
    parts["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
    parts.setdefault("schemas", {})["Problem"] = _PROBLEM_SCHEMA
    failure = {"description": "An error", "content": {problems.MEDIA_TYPE: {"schema": {"$ref": _PROBLEM_REF}}}}
    for (method, path), access in access_table(app).items():
        operation = document["paths"].get(path, {}).get(method.lower())
        if operation is None:
            continue
        if access.kind != "public":
            operation["security"] = [{"key": []}]
        if access.action:
            operation["x-tactful-action"] = access.action
        if method == "POST" and access.kind == "role" and access.store_response:
            operation.setdefault("parameters", []).append(_IDEMPOTENCY_PARAMETER)
        operation.setdefault("responses", {}).pop("422", None)
        operation["responses"]["default"] = failure
    return document


_PROBLEM_REF = "#/components/schemas/Problem"
_TEXT_SCHEMA = {"type": "string"}
_IDEMPOTENCY_PARAMETER: Mapping[str, object] = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "Of the caller's making; the same request with the same key has one effect and one answer for 24 h",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255},
}
_PROBLEM_SCHEMA: Mapping[str, object] = {
    "type": "object",
    "required": ["type", "title", "status", "detail", "instance", "code", "errors", "trace_id"],
    "properties": {
        **dict.fromkeys(("type", "title", "detail", "instance", "code", "trace_id"), _TEXT_SCHEMA),
        "status": {"type": "integer"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["pointer", "code", "detail"],
                "properties": dict.fromkeys(("pointer", "code", "detail"), _TEXT_SCHEMA),
            },
        },
    },
}
