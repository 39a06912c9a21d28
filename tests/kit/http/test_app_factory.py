import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from fastapi import APIRouter, Request
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from starlette.applications import Starlette
from starlette.responses import Response

from services.kit.errors import Problem
from services.kit.http import request_parsing
from services.kit.http.app_factory import access_table, build_app
from services.kit.http.auth import public, requires
from services.kit.http.problems import problem_response
from services.kit.observability.health import Health
from services.kit.observability.metrics import Registry
from tests.support.http_apps import ADMIN_KEY, SERVICE_KEY, Keys, app_of, client_of, problem_of, routes

JSON = {"content-type": "application/json"}


@pytest.fixture
def registry() -> Registry:
    return Registry()


@pytest.fixture
async def client(registry: Registry) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(app_of(routes(), registry=registry), ADMIN_KEY) as client:
        yield client


async def test_a_known_key_with_the_right_role_passes(client: httpx.AsyncClient) -> None:
    answer = await client.get("/v1/things/a?limit=3")
    assert (answer.status_code, answer.json()) == (200, {"key": "a", "who": "admin"})


async def test_an_unknown_path_and_a_wrong_method_are_problems(client: httpx.AsyncClient) -> None:
    problem_of(await client.get("/v1/nothing"), 404, "not_found")
    problem_of(await client.get("/v1/things/a/"), 404, "not_found")
    answer = await client.delete("/v1/things/a")
    problem_of(answer, 405, "method_not_allowed")
    assert answer.headers["allow"] == "GET, HEAD"


async def test_our_errors_carry_code_pointers_and_retry_after(client: httpx.AsyncClient) -> None:
    body = problem_of(await client.get("/v1/conflict"), 409, "wrong_state")
    assert body["errors"] == [{"pointer": "/status", "code": "wrong_state", "detail": "is stopped"}]
    later = await client.get("/v1/later")
    problem_of(later, 503, "unavailable")
    assert later.headers["retry-after"] == "3"
    assert problem_of(await client.get("/v1/document"), 422, "invalid")["errors"][0]["pointer"] == "/a/0"


async def test_an_unknown_query_parameter_is_refused_with_a_suggestion(client: httpx.AsyncClient) -> None:
    body = problem_of(await client.get("/v1/things/a?limt=1"), 422, "invalid")
    assert body["errors"] == [
        {
            "pointer": "/query/limt",
            "code": "unknown_parameter",
            "detail": "unknown query parameter `limt`, did you mean `limit`?",
        }
    ]
    twice = problem_of(await client.get("/v1/things/a?limit=1&limit=2"), 422, "invalid")
    assert twice["errors"][0]["code"] == "given_twice"


async def test_a_wrong_parameter_is_named_but_its_value_is_not_repeated(client: httpx.AsyncClient) -> None:
    answer = await client.get("/v1/things/a?limit=anna@example.com")
    body = problem_of(answer, 422, "invalid")
    assert body["errors"][0]["pointer"] == "/query/limit"
    assert "anna" not in answer.text


async def test_an_unknown_field_is_found_deep_in_a_body(client: httpx.AsyncClient) -> None:
    body = problem_of(await client.post("/v1/model", json={"caps": [{"limt": 1, "limit": 2}]}), 422, "invalid")
    assert body["errors"] == [
        {"pointer": "/caps/0/limt", "code": "unknown_field", "detail": "unknown field `limt`, did you mean `limit`?"}
    ]
    assert problem_of(await client.post("/v1/model"), 422, "invalid")["errors"][0]["code"] == "missing"


@pytest.mark.parametrize("path", ["/v1/raw", "/v1/model"])
@pytest.mark.parametrize(
    ("content", "status", "code"),
    [
        (b"{", 400, "malformed"),  # truncated
        (b'{"priority": 1, "priority": 2}', 400, "malformed"),  # duplicate key
        (b'{"priority": NaN}', 400, "malformed"),
        (b'{"priority": 1e400}', 400, "malformed"),
        (b'{"priority": 99999999999999999999}', 400, "malformed"),  # beyond 64 bits
        (b'{"a": "\xff"}', 400, "malformed"),  # not UTF-8
        (b"[" * 100_000, 400, "malformed"),  # a depth bomb
        (b'{"a":' * 40 + b"1" + b"}" * 40, 400, "malformed"),
        (b" " * 1_048_577, 413, "too_large"),
    ],
)
async def test_doubtful_bodies_are_refused(
    client: httpx.AsyncClient, path: str, content: bytes, status: int, code: str
) -> None:
    problem_of(await client.post(path, content=content, headers=JSON), status, code)


@pytest.mark.parametrize("path", ["/v1/raw", "/v1/model"])
@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "application/xml", ""])
async def test_a_body_that_does_not_say_what_it_is_is_refused(client: httpx.AsyncClient, path: str, kind: str) -> None:
    headers = {"content-type": kind} if kind else {}
    problem_of(await client.post(path, content=b"{}", headers=headers), 415, "wrong_media_type")


async def test_metrics_are_openmetrics(client: httpx.AsyncClient) -> None:
    answer = await client.get("/metrics")
    assert answer.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    await client.get("/livez")
    text = (await client.get("/metrics")).text
    names = {family.name for family in text_string_to_metric_families(text)}  # type: ignore[no-untyped-call]
    assert "http_server_request_duration_seconds" in names


async def test_health_answers_for_probes() -> None:
    now = [0.0]
    health = Health(monotonic=lambda: now[0])
    beat = health.add_loop("consume")
    broken = [False]

    async def database() -> bool:
        if broken[0]:
            raise ConnectionError("postgresql://user:password@host")
        return True

    health.add_check("database", database)
    async with client_of(app_of(routes(), health=health)) as client:
        assert (await client.get("/startupz")).status_code == 503
        assert (await client.get("/readyz")).status_code == 503
        health.started = True
        assert (await client.get("/startupz")).json() == {"status": "started"}
        assert (await client.get("/readyz")).json() == {"status": "ready"}
        assert set((await client.get("/readyz?verbose")).json()["checks"]) == {"started", "not_stopping", "database"}
        broken[0] = True
        answer = await client.get("/readyz?verbose=1")
        assert answer.status_code == 503
        assert answer.json()["checks"]["database"]["detail"] == "ConnectionError"
        assert "password" not in answer.text
        assert (await client.get("/livez")).status_code == 200
        now[0] = 61.0
        stuck = await client.get("/livez")
        assert (stuck.status_code, stuck.json()) == (503, {"status": "stuck", "loops": ["consume"]})
        beat.beat()
        assert (await client.get("/livez")).status_code == 200


async def test_openapi_names_the_action_and_the_form_of_errors(client: httpx.AsyncClient) -> None:
    document = (await client.get("/openapi.json")).json()
    assert document["openapi"].startswith("3.1")
    operation = document["paths"]["/v1/things/{key}"]["get"]
    assert operation["security"] == [{"key": []}]
    assert operation["x-tactful-grant"] == "campaigns:read"
    for status in ("401", "403", "422", "500", "503"):
        assert "application/problem+json" in operation["responses"][status]["content"]
    assert "security" not in document["paths"]["/livez"]["get"]
    assert document["paths"]["/v1/raw"]["post"]["parameters"][0]["name"] == "Idempotency-Key"
    assert (await client.get("/openapi.json")).json() == document


def test_a_route_without_a_declared_access_is_refused_at_the_start() -> None:
    router = APIRouter()

    @router.get("/open")
    async def open_() -> None: ...

    with pytest.raises(ValueError, match=r"GET /open: declare one of requires"):
        app_of(router)


def test_a_mount_is_refused_at_the_start() -> None:
    router = APIRouter()
    router.mount("/static", Starlette())
    with pytest.raises(ValueError, match="/static: only APIRoutes"):
        app_of(router)


async def test_no_body_may_have_a_meaning() -> None:
    router = APIRouter()

    @router.post("/submit", dependencies=[public()])
    async def submit(request: Request) -> Any:
        return await request_parsing.read_document(request, required=False)

    async with client_of(app_of(router)) as client:
        assert (await client.post("/submit")).json() is None
        assert (await client.post("/submit", json={"reason": "x"})).json() == {"reason": "x"}
        assert (await client.post("/submit", content=b"x")).status_code == 415


def test_a_route_with_two_declarations_is_refused_at_the_start() -> None:
    router = APIRouter(dependencies=[public()])

    @router.get("/both", dependencies=[requires("campaigns:read")])
    async def both() -> None: ...

    with pytest.raises(ValueError, match="GET /both"):
        app_of(router)


def test_an_internal_route_without_a_service_key_is_refused_at_the_start() -> None:
    with pytest.raises(ValueError, match="service_key"):
        build_app(title="t", registry=Registry(), health=Health(), keys=Keys(), routers=[routes()])


def test_a_route_is_built_once() -> None:
    """FastAPI's `include_router` would build each a second time, half of what starting a service costs."""
    router = APIRouter(dependencies=[public()])

    @router.get("/leaf")
    async def leaf() -> Response:
        return Response("leaf")

    assert router.routes[0] in app_of(router).routes


async def test_included_routers_keep_prefix_and_access() -> None:
    inner, outer = APIRouter(prefix="/inner"), APIRouter(prefix="/outer", dependencies=[requires("policy:read")])

    @inner.get("/leaf")
    async def leaf() -> Response:
        return Response("leaf")

    outer.include_router(inner)
    registry = Registry()
    app = app_of(outer, registry=registry)
    assert access_table(app)[("GET", "/outer/inner/leaf")].action == "policy:read"
    async with client_of(app, "viewer") as client:
        assert (await client.get("/outer/inner/leaf")).text == "leaf"
        assert (await client.get("/outer/inner/leaf?x=1")).status_code == 422
    assert 'http_route="/outer/inner/leaf"' in (await _metrics(app))


async def _metrics(app: Any) -> str:
    async with client_of(app) as client:
        return (await client.get("/metrics")).text


async def test_the_service_key_opens_internal_routes_and_no_other(client: httpx.AsyncClient) -> None:
    service = {"Authorization": f"Bearer {SERVICE_KEY}"}
    assert (await client.get("/v1/internal", headers=service)).json() == {"in": True}
    problem_of(await client.get("/v1/internal"), 401, "unauthorised")  # the admin key
    problem_of(await client.get("/v1/things/a", headers=service), 401, "unauthorised")


def test_a_problem_is_json_with_text_as_it_is_and_a_bounded_list_of_faults() -> None:
    faults = [Problem("/x", "missing", "x")] * 1000
    body = json.loads(bytes(problem_response(404, "not_found", "Not found", "größer", faults).body))
    assert body["detail"] == "größer"
    assert len(body["errors"]) == 100


async def test_a_flood_of_unknown_parameters_is_bounded(client: httpx.AsyncClient) -> None:
    query = "&".join(f"a{number}=1" for number in range(1000))
    assert len(problem_of(await client.get(f"/v1/things/a?{query}"), 422, "invalid")["errors"]) == 100


@pytest.mark.parametrize("accept", ["text/plain", "text/plain;version=0.0.4, */*;q=0.1"])
async def test_metrics_are_plain_text_for_who_takes_that_alone(accept: str) -> None:
    async with client_of(app_of(routes())) as client:
        answer = await client.get("/metrics", headers={"accept": accept})
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert "# EOF" not in answer.text
    assert "# TYPE http_server_request_duration_seconds histogram" in answer.text


@pytest.mark.parametrize(
    "accept",
    ["", "*/*", "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.4", "text/html, */*"],
)
async def test_metrics_are_openmetrics_for_everybody_else(accept: str) -> None:
    async with client_of(app_of(routes())) as client:
        answer = await client.get("/metrics", headers={"accept": accept})
    assert answer.headers["content-type"] == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    assert answer.text.endswith("# EOF\n")


@pytest.mark.parametrize("accept", ["text/plain", "application/openmetrics-text"])
async def test_no_series_tells_when_another_was_created(client: httpx.AsyncClient, accept: str) -> None:
    await client.get("/v1/things/a")
    text = (await client.get("/metrics", headers={"accept": accept})).text
    assert "http_server_request_duration_seconds_count" in text
    assert "_created" not in text
