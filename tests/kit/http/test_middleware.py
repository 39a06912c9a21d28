import asyncio
import gc
import logging
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from fastapi import APIRouter
from starlette.responses import Response, StreamingResponse

from services.kit.http.auth import public
from services.kit.observability import logs
from services.kit.observability.metrics import Registry
from tests.support.http_apps import ADMIN_KEY, app_of, client_of, problem_of, routes

JSON = {"content-type": "application/json"}


@pytest.fixture
def registry() -> Registry:
    return Registry()


@pytest.fixture
async def client(registry: Registry) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(app_of(routes(), registry=registry), ADMIN_KEY) as client:
        yield client


@pytest.mark.parametrize("path", ["/v1/raw", "/v1/model"])
async def test_a_body_in_pieces_without_a_length_is_cut_at_the_limit(client: httpx.AsyncClient, path: str) -> None:
    sent = 0

    async def pieces() -> AsyncIterator[bytes]:
        nonlocal sent
        for _ in range(100):
            sent += 100_000
            yield b" " * 100_000

    problem_of(await client.post(path, content=pieces(), headers=JSON), 413, "too_large")


async def test_the_body_limit_is_settable() -> None:
    async with client_of(app_of(routes(), max_body=10), ADMIN_KEY) as client:
        answer = await client.post("/v1/raw", content=b'"01234567890"', headers=JSON)
        problem_of(answer, 413, "too_large")
        assert (await client.post("/v1/raw", content=b"[1]", headers=JSON)).json() == [1]


TRACE = "0af7651916cd43dd8448eb211c80319c"


@pytest.mark.parametrize(
    ("traceparent", "taken"),
    [
        (f"00-{TRACE}-b7ad6b7169203331-01", True),
        (f"01-{TRACE}-b7ad6b7169203331-01-more", True),  # a later version may say more
        (f"00-{TRACE}-b7ad6b7169203331-01-more", False),
        (f"ff-{TRACE}-b7ad6b7169203331-01", False),
        (f"00-{'0' * 32}-b7ad6b7169203331-01", False),
        (f"00-{TRACE}-{'0' * 16}-01", False),
        (f"00-{TRACE.upper()}-b7ad6b7169203331-01", False),
        ("nonsense\n", False),
    ],
)
async def test_the_trace_of_the_caller_is_taken_or_a_new_one_made(
    client: httpx.AsyncClient, traceparent: str, taken: bool
) -> None:
    trace = (await client.get("/v1/trace", headers={"traceparent": traceparent})).json()["trace"]
    assert len(trace) == 32
    assert (trace == TRACE) is taken
    assert (
        problem_of(
            await client.get("/v1/nothing", headers={"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}),
            404,
            "not_found",
        )["trace_id"]
        == TRACE
    )


async def test_every_answer_has_the_security_headers(client: httpx.AsyncClient) -> None:
    for path in ("/v1/things/a", "/v1/nothing", "/v1/boom", "/livez"):
        answer = await client.get(path)
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
    assert (await client.get("/v1/trace")).headers["cache-control"] == "max-age=60"


async def test_requests_are_timed_by_route_template_and_unknown_ones_folded(
    client: httpx.AsyncClient, registry: Registry
) -> None:
    for path in ("/v1/things/a", "/v1/things/b", "/v1/secret-token", "/v1/other", "/v1/boom"):
        await client.get(path)
    await client.request("BREW", "/v1/things/a")

    def count(method: str, route: str, status: str) -> float | None:
        labels = {"http_request_method": method, "http_route": route, "http_response_status_code": status}
        return registry.get_sample_value("http_server_request_duration_seconds_count", labels)

    assert count("GET", "/v1/things/{key}", "200") == 2
    assert count("GET", "unmatched", "404") == 2
    assert count("GET", "/v1/boom", "500") == 1
    assert count("_OTHER", "/v1/things/{key}", "405") == 1
    assert "secret-token" not in (await client.get("/metrics")).text


async def test_an_answer_that_breaks_off_is_logged_and_ends_the_connection(caplog: pytest.LogCaptureFixture) -> None:
    router = APIRouter()

    class Broken(Response):
        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            raise RuntimeError("secret")

    @router.get("/broken", dependencies=[public()])
    async def broken() -> Response:
        return Broken()

    async with client_of(app_of(router)) as client:
        with pytest.raises(RuntimeError):
            await client.get("/broken")
    assert any(record.getMessage() == "response_broken_off" for record in caplog.records)


async def test_an_unexpected_error_says_nothing_and_logs_where(
    client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    logging.getLogger("tactful").setLevel(logging.INFO)
    answer = await client.get("/v1/boom")
    problem_of(answer, 500, "internal")
    assert "anna" not in answer.text
    record, request_line = [record for record in caplog.records if record.name == "tactful"]
    assert request_line.message == "request_error"
    assert record.getMessage() == "request_failed"
    fields = vars(record)["fields"]
    assert fields["error_class"] == "KeyError"
    assert fields["error_at"][-1].endswith(" boom")


async def test_a_body_that_declares_to_be_too_long_never_reaches_the_route() -> None:
    router, reached = APIRouter(dependencies=[public()]), []

    @router.post("/deaf")
    async def deaf() -> None:
        reached.append(1)

    async with client_of(app_of(router, max_body=10)) as client:
        problem_of(await client.post("/deaf", content=b"01234567890"), 413, "too_large")
        endless = await client.post("/deaf", content=b"0", headers={"content-length": "9" * 5000})
        problem_of(endless, 413, "too_large")
        assert not reached
        assert (await client.post("/deaf", content=b"0123456789")).status_code == 200


async def test_the_trace_of_a_request_ends_with_it(client: httpx.AsyncClient) -> None:
    await client.get("/v1/trace")
    assert logs.trace_id.get() == ""


async def test_every_error_answer_leaves_a_line_with_its_trace_id(
    client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    logging.getLogger("tactful").setLevel(logging.WARNING)
    traces: list[str] = []
    filtered = [("/v1/nothing", "not_found"), ("/v1/conflict", "wrong_state"), ("/v1/later", "unavailable")]
    filtered += [("/v1/%FF", "malformed"), ("/v1/boom", "internal")]
    handler = logging.Handler()
    handler.emit = lambda record: traces.append(logs.trace_id.get())  # type: ignore[method-assign]
    logging.getLogger("tactful").addHandler(handler)
    try:
        for path, code in filtered:
            traces.clear()
            answer = (await client.get(path)).json()
            assert answer["code"] == code
            assert answer["trace_id"] in traces
            fields = vars(caplog.records[-1])["fields"]
            assert (caplog.records[-1].getMessage(), fields["error_code"]) == ("request_error", code)
            assert fields["status"] == answer["status"]
    finally:
        logging.getLogger("tactful").removeHandler(handler)


async def test_head_has_the_headers_of_get_and_no_body(client: httpx.AsyncClient) -> None:
    for path in ("/v1/things/a", "/v1/trace", "/v1/conflict", "/v1/nothing", "/livez"):
        get, head = await client.get(path), await client.head(path)
        assert (head.status_code, head.content) == (get.status_code, b"")
        assert head.headers == get.headers, path
    answer = await client.head("/v1/raw")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


async def test_head_of_an_endless_stream_ends_it() -> None:
    router, ended = APIRouter(), []

    @router.get("/stream", dependencies=[public()])
    async def stream() -> Response:
        async def lines() -> AsyncIterator[str]:
            try:
                while True:
                    yield "data: x\n\n"
                    await asyncio.sleep(0.001)
            finally:
                ended.append(True)

        return StreamingResponse(lines(), media_type="text/event-stream")

    async with asyncio.timeout(5), client_of(app_of(router)) as client:
        answer = await client.head("/stream")
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-type"].startswith("text/event-stream")
    gc.collect()
    await asyncio.sleep(0.01)
    assert ended


async def test_requests_by_head_are_counted_as_such(client: httpx.AsyncClient, registry: Registry) -> None:
    await client.head("/v1/trace")
    labels = {"http_request_method": "HEAD", "http_route": "/v1/trace", "http_response_status_code": "200"}
    assert registry.get_sample_value("http_server_request_duration_seconds_count", labels) == 1


async def test_a_caller_who_leaves_is_no_failure_of_ours(registry: Registry) -> None:
    app = app_of(routes(), registry=registry)
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(b"authorization", f"Bearer {ADMIN_KEY}".encode()), (b"content-type", b"application/json")]
    scope = {"type": "http", "method": "POST", "path": "/v1/raw", "raw_path": b"/v1/raw", "query_string": b""}
    await app({**scope, "headers": headers, "http_version": "1.1", "scheme": "http"}, receive, send)
    assert sent == []
    labels = {"http_request_method": "POST", "http_route": "/v1/raw", "http_response_status_code": "499"}
    assert registry.get_sample_value("http_server_request_duration_seconds_count", labels) == 1
