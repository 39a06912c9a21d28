"""The app on a real port of the loopback: what only a real server can show."""

import asyncio
import io
import logging
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
from fastapi import APIRouter, Request

from services.kit.http import request_parsing
from services.kit.http.auth import public
from services.kit.http.server import create_server
from services.kit.observability import logs
from tests.support.http_apps import app_of


def routes() -> APIRouter:
    router = APIRouter(dependencies=[public()])

    @router.post("/echo")
    async def echo(request: Request) -> object:
        return await request_parsing.read_document(request)

    @router.get("/p/{token}")
    async def page(token: str) -> dict[str, str]:
        raise KeyError(token)

    @router.get("/slow")
    async def slow() -> dict[str, bool]:
        await asyncio.sleep(0.3)
        return {"slow": True}

    return router


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    stream = io.StringIO()
    logs.configure_logging("test", level="info", stream=stream)
    logging.getLogger("uvicorn").setLevel(logging.DEBUG)
    yield stream
    logging.captureWarnings(False)
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture
async def client(stream: io.StringIO) -> AsyncIterator[httpx.AsyncClient]:
    running = create_server(app_of(routes(), max_body=100_000), host="127.0.0.1", port=0, drain=5)
    task = asyncio.create_task(running.serve())
    async with asyncio.timeout(10):
        while not running.started:
            await asyncio.sleep(0.01)
    port = running.servers[0].sockets[0].getsockname()[1]
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
        slow = asyncio.create_task(client.get("/slow"))
        yield client
        running.should_exit = True
        await task
        assert (await slow).status_code == 200  # a request under way is answered before the end


async def test_a_body_in_pieces_is_cut_and_the_server_goes_on(client: httpx.AsyncClient) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(50):
            yield b" " * 10_000

    headers = {"content-type": "application/json"}
    answer = await client.post("/echo", content=pieces(), headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
    assert "server" not in answer.headers
    assert (await client.post("/echo", json=[1])).json() == [1]


async def test_a_url_with_a_token_is_in_no_log_line(client: httpx.AsyncClient, stream: io.StringIO) -> None:
    assert (await client.get("/p/canary-token")).status_code == 500
    assert "request_failed" in stream.getvalue()
    assert "canary" not in stream.getvalue()
