"""The app factory: every service's HTTP interface has the same health, metrics, errors, limits and default deny."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from functools import cache
from types import MappingProxyType
from typing import Any, Literal, NotRequired

from fastapi import APIRouter, FastAPI, Request
from fastapi.routing import APIRoute, RouteContext, iter_route_contexts
from pydantic import BaseModel, SecretStr
from starlette.responses import JSONResponse, Response
from typing_extensions import TypedDict

from services.kit.http import middleware, openapi, problems
from services.kit.http.audit_trail import RequestAudit
from services.kit.http.auth import GuardContext, KeyRing, People, RouteAccess, hash_key, public
from services.kit.http.idempotency import IdempotencyStore, ReplayResponse
from services.kit.http.openapi_page import OpenApiPage
from services.kit.http.rate_limits import RequestRate
from services.kit.http.request_body import RequestBody
from services.kit.http.sessions import SessionStore
from services.kit.observability.exposition import MetricsPage
from services.kit.observability.health import Health, failures
from services.kit.observability.metrics import Registry
from services.kit.observability.tracer import Tracer

MAX_BODY = 1024 * 1024
_DISABLED_FEATURES: Mapping[str, Any] = {
    "docs_url": None,
    "redoc_url": None,
    "openapi_url": None,
    "telemetry": {"tracing": False, "metrics": False, "logs": False},
}
Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[Any]]
AccessTable = Mapping[tuple[str, str], RouteAccess]


class Liveness(TypedDict):
    """Whether the process is alive, and which of its loops are stuck."""

    status: Literal["alive", "stuck"]
    loops: NotRequired[list[str]]


class Startup(TypedDict):
    """Whether the process has started."""

    status: Literal["started", "starting"]


class Check(TypedDict):
    """The result of one check."""

    ok: bool
    seconds: float
    detail: NotRequired[str]
    required: NotRequired[bool]


class Readiness(TypedDict):
    """Whether the process can work, and which checks say no; all of them with `verbose`."""

    status: Literal["ready", "not_ready"]
    failing: NotRequired[Any]
    checks: NotRequired[dict[str, Check]]


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
    large_bodies: Mapping[str, int] = MappingProxyType({}),
    rate: float | None = None,
    audit: RequestAudit | None = None,
    people: People | None = None,
    tracer: Tracer | None = None,
    lifespan: Lifespan | None = None,
    version: str = "1",
) -> FastAPI:
    """Builds one service's app.

    Raises ValueError for a route without `requires`, `public` or `service_only`, for one with several of them, for
    `service_only` routes without a service key, and for mounts, which cannot be guarded. `max_body` is in bytes;
    `large_bodies`: paths whose routes take another size, which they read as a stream. `rate`: the requests a second of
    one key; None: any number. `audit` records who asks for what. `people`: who signs in by the company's own sign-in.
    `tracer` records requests whose callers record them.
    """
    app = FastAPI(
        title=title,
        version=version,
        lifespan=lifespan,
        redirect_slashes=False,
        generate_unique_id_function=openapi.stable_operation_id,
        **_DISABLED_FEATURES,
    )
    for router in (*routers, _operations_routes(health, registry)):
        _adopt_routes(app, router)
    contexts = list(iter_route_contexts(app.routes))
    secret = service_key.get_secret_value() if isinstance(service_key, SecretStr) else service_key
    app.state.access = _build_access_table(contexts, bool(secret))
    app.state.guards = GuardContext(
        *(keys, hash_key(secret) if secret else None, idempotency, sessions, _query_parameters(contexts)),
        rate=None if rate is None else RequestRate(rate),
        audit=audit,
        people=people,
    )
    problems.install_error_handlers(app)
    app.add_exception_handler(ReplayResponse, _handle_replay)
    templates = {id(context.original_route): str(context.path_format) for context in contexts}
    app.add_middleware(
        middleware.EdgeMiddleware,
        durations=middleware.request_durations(registry, templates),
        routes=templates,
        body_limits=middleware.BodyLimits(max_body, large_bodies),
        idempotency=idempotency,
        tracer=tracer,
    )
    app.state.openapi_page = OpenApiPage(lambda: app.openapi())
    app.openapi = cache(lambda: openapi.generate_document(app, contexts))  # type: ignore[method-assign]
    return app


def _adopt_routes(app: FastAPI, router: APIRouter) -> None:
    """Serves the routes of a router as they are: they have its prefix, tags and dependencies already.

    `app.include_router` would build every route a second time, which is half of what it costs to build a service, and
    match every request twice.
    """
    for route in router.routes:
        if isinstance(route, APIRoute):
            route.unique_id = route.operation_id or openapi.stable_operation_id(route)
        app.router.routes.append(route)


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
        dependencies = list(openapi.walk_dependencies(context.dependant))
        declared = [item.call for item in dependencies if isinstance(item.call, RouteAccess)]
        if len(set(declared)) != 1:
            raise ValueError(
                f"{name}: declare one of requires(action), public() or service_only(); found {len(declared)}"
            )
        if declared[0].kind == "service" and not has_service_key:
            raise ValueError(f"{name}: a service_only route needs build_app(service_key=...)")
        _check_body(name, context, [item.call for item in dependencies])
        table.update({(method, str(context.path_format)): declared[0] for method in context.methods or ()})
    return table


def _check_body(name: str, context: RouteContext, calls: list[object]) -> None:
    if getattr(context, "body_field", None) is not None:
        raise ValueError(f"{name}: declare the body with services.kit.http.request_body, so that it may be YAML too")
    reading = [isinstance(call, RequestBody) and call.reads != "nothing" for call in calls]
    if True in reading and reading.index(True) < [isinstance(call, RouteAccess) for call in calls].index(True):
        raise ValueError(f"{name}: put the guard before the body, so that nothing is read of a stranger's request")


def _query_parameters(contexts: Iterable[RouteContext]) -> dict[int, frozenset[str]]:
    known: dict[int, frozenset[str]] = {}
    for context in contexts:
        names = frozenset(
            name
            for item in openapi.walk_dependencies(context.dependant)
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


async def _handle_replay(_: Request, error: Exception) -> Response:
    assert isinstance(error, ReplayResponse)
    return middleware.replay_response(error.response)


def _operations_routes(health: Health, registry: Registry) -> APIRouter:
    router = APIRouter(dependencies=[public()], tags=["operations"])
    page = MetricsPage(registry)

    @router.get("/livez", summary="Is this process alive", **openapi.answers({200: Liveness, 503: Liveness}))
    async def livez() -> JSONResponse:
        stuck = health.stuck_loops()
        body = {"status": "stuck", "loops": stuck} if stuck else {"status": "alive"}
        return JSONResponse(body, 503 if stuck else 200)

    @router.get(
        "/readyz",
        summary="Can this process work now; ?verbose=1 lists the checks",
        **openapi.answers({200: Readiness, 503: Readiness}),
    )
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

    @router.get("/startupz", summary="Has this process started", **openapi.answers({200: Startup, 503: Startup}))
    async def startupz() -> JSONResponse:
        return JSONResponse({"status": "started" if health.started else "starting"}, 200 if health.started else 503)

    @router.get(
        "/metrics",
        summary="Metrics: OpenMetrics, or Prometheus' text format for `Accept: text/plain`",
        response_class=Response,
        **openapi.page_answers([200], media_type="application/openmetrics-text"),
    )
    async def metrics(request: Request) -> Response:
        text, media_type = await page.render(request.headers.get("accept", ""))
        return Response(text, media_type=media_type)

    @router.get("/openapi.json", include_in_schema=False)
    async def openapi_document(request: Request) -> Response:
        page: OpenApiPage = request.app.state.openapi_page
        return await page.respond()

    return router
