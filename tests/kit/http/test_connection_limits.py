"""What a stranger can send on a connection, on a real server: heads without end, halves of requests, floods."""

import asyncio
import json
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import NamedTuple

import pytest
from fastapi import APIRouter, Request

from services.kit.http.auth import public
from services.kit.http.connection_limits import MAX_HEAD_BYTES, MAX_HEADERS, MAX_PIPELINED, BoundedHttpProtocol
from services.kit.http.server import create_server, open_listener
from services.kit.http.tls_listener import TlsListener
from services.kit.runtime.tls import TlsFiles, client_context, server_context
from tests.support.certificates import Authority
from tests.support.http_apps import app_of


def routes() -> APIRouter:
    router = APIRouter(dependencies=[public()])

    @router.get("/hello")
    async def hello() -> dict[str, bool]:
        return {"hello": True}

    @router.get("/slow")
    async def slow() -> dict[str, bool]:
        await asyncio.sleep(0.6)
        return {"slow": True}

    @router.post("/echo")
    async def echo(request: Request) -> dict[str, int]:
        return {"bytes": len(await request.body())}

    return router


class Place(NamedTuple):
    """Where the server listens, and how it is trusted if it takes TLS."""

    port: int
    tls: ssl.SSLContext | None

    async def dial(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A new connection."""
        return await asyncio.open_connection("127.0.0.1", self.port, ssl=self.tls)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(params=["http", "https"])
async def port(request: pytest.FixtureRequest, authority: Authority) -> AsyncIterator[Place]:
    """A server, with all of its limits, by http and by https."""
    server_tls = client_tls = None
    if request.param == "https":
        shown = authority.sign("tactful")
        server_tls = server_context(TlsFiles(certificate=shown.certificate, key=shown.key))
        client_tls = client_context(TlsFiles(ca=authority.file))
    with open_listener("127.0.0.1", 0) as listener:
        number = listener.getsockname()[1]
        app = app_of(routes(), max_body=100_000)
        server = create_server(app, host="127.0.0.1", port=number, drain=1, tls=server_tls)
        task = asyncio.create_task(server.serve(sockets=[listener]))
        async with asyncio.timeout(10):
            while not server.started:
                await asyncio.sleep(0.01)
        yield Place(number, client_tls)
        server.should_exit = True
        await task


@asynccontextmanager
async def connected(port: Place) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await port.dial()
    try:
        yield reader, writer
    finally:
        writer.close()


async def answer_to(port: Place, *parts: bytes) -> tuple[int, dict[str, object]]:
    """The status and the document that these bytes get; (0, {}) where the connection is closed without an answer."""
    async with connected(port) as (reader, writer):
        try:
            for part in parts:
                writer.write(part)
                await writer.drain()
        except ConnectionError:
            pass
        return await read_answer(reader)


async def read_answer(reader: asyncio.StreamReader) -> tuple[int, dict[str, object]]:
    async with asyncio.timeout(10):
        try:
            raw = await reader.read()
        except ConnectionError:
            return 0, {}
    head, _, body = raw.partition(b"\r\n\r\n")
    return (int(head.split()[1]), json.loads(body)) if raw else (0, {})


HELLO = b"GET /hello HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n"


async def test_a_usual_request_is_answered(port: Place) -> None:
    assert await answer_to(port, HELLO) == (200, {"hello": True})


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(b"GET /hello HTTP/1.1\r\nX-Long: " + b"a" * MAX_HEAD_BYTES + b"\r\n\r\n", id="one header"),
        pytest.param(b"GET /" + b"a" * MAX_HEAD_BYTES + b" HTTP/1.1\r\n\r\n", id="the path"),
        pytest.param(b"GET /hello?" + b"a" * MAX_HEAD_BYTES + b" HTTP/1.1\r\n\r\n", id="the query"),
        pytest.param(b"GET /hello HTTP/1.1\r\n" + b"a: b\r\n" * (MAX_HEADERS + 1) + b"\r\n", id="many headers"),
        pytest.param(b"GET /hello HTTP/1.1\r\n" + b"a" * MAX_HEAD_BYTES + b": b\r\n\r\n", id="the name of a header"),
    ],
)
async def test_a_large_head_is_refused(port: Place, head: bytes) -> None:
    status, problem = await answer_to(port, head)
    assert (status, problem["code"]) == (431, "head_too_large")


async def test_a_head_without_end_is_cut_off_early(port: Place) -> None:
    piece, sent = b"a" * 65_536, 0
    async with connected(port) as (_, writer):
        writer.write(b"GET /hello HTTP/1.1\r\nX-Endless: ")
        with suppress(ConnectionError):
            while sent < 50_000_000:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0)
                sent += len(piece)
    assert sent < 50_000_000


async def test_half_a_head_is_not_waited_for(port: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BoundedHttpProtocol, "head_seconds", 0.2)
    began = time.monotonic()
    status, problem = await answer_to(port, b"GET /hello HTTP/1.1\r\nHost: here\r\n")
    assert (status, problem["code"]) == (408, "request_timeout")
    assert time.monotonic() - began < 5


async def test_who_connects_and_says_nothing_is_let_go(port: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BoundedHttpProtocol, "head_seconds", 0.2)
    assert await answer_to(port) == (0, {})


async def test_the_second_head_of_a_connection_has_its_time_too(port: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BoundedHttpProtocol, "head_seconds", 0.2)
    async with connected(port) as (reader, writer):
        writer.write(b"GET /hello HTTP/1.1\r\nHost: here\r\n\r\n")
        assert (await reader.readuntil(b"}")).startswith(b"HTTP/1.1 200")
        await asyncio.sleep(0.5)  # idle between two requests: no head has begun
        writer.write(b"GET /hello HTTP/1.1\r\n")
        status, problem = await read_answer(reader)
        assert (status, problem["code"]) == (408, "request_timeout")


async def test_half_a_body_is_not_waited_for(port: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BoundedHttpProtocol, "body_seconds", 0.2)
    status, problem = await answer_to(port, b"POST /echo HTTP/1.1\r\nHost: here\r\nContent-Length: 10\r\n\r\nhalf")
    assert (status, problem["code"]) == (408, "request_timeout")


async def test_an_answer_may_take_longer_than_a_request(port: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BoundedHttpProtocol, "head_seconds", 0.1)
    monkeypatch.setattr(BoundedHttpProtocol, "body_seconds", 0.1)
    slow = b"GET /slow HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n"
    assert await answer_to(port, slow) == (200, {"slow": True})


async def test_few_requests_of_a_connection_are_kept_ahead_of_their_answers(port: Place) -> None:
    one = HELLO.replace(b"Connection: close\r\n", b"")
    async with connected(port) as (reader, writer), asyncio.timeout(10):
        writer.write(one * (MAX_PIPELINED - 1) + HELLO)
        assert (await reader.read()).count(b'{"hello":true}') == MAX_PIPELINED
    status, problem = await answer_to(port, one.replace(b"hello", b"slow") + one * 400)
    assert (status, problem["code"]) == (429, "too_many_pipelined")


async def test_what_is_no_http_gets_a_problem(port: Place) -> None:
    status, problem = await answer_to(port, b"\x16\x03\x01 hello\r\n\r\n")
    assert (status, problem["code"]) == (400, "malformed")


async def test_a_flood_of_connections_does_not_shut_others_out(port: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BoundedHttpProtocol, "max_connections", 20)
    flood = [await port.dial() for _ in range(60)]
    for _, writer in flood:
        writer.write(b"GET /hello HTTP/1.1\r\nX-Half: ")
    assert await answer_to(port, HELLO) == (200, {"hello": True})
    for _, writer in flood:
        writer.close()


async def test_where_all_are_at_work_a_further_one_is_told_to_come_again(
    port: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(BoundedHttpProtocol, "max_connections", 2)
    slow = b"GET /slow HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n"
    at_work = [asyncio.create_task(answer_to(port, slow)) for _ in range(2)]
    await asyncio.sleep(0.2)
    status, problem = await answer_to(port)
    assert (status, problem["code"]) == (503, "unavailable")
    assert [status for status, _ in await asyncio.gather(*at_work)] == [200, 200]


@pytest.mark.parametrize("port", ["https"], indirect=True)
async def test_a_handshake_that_does_not_end_is_given_up(port: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TlsListener, "handshake_seconds", 0.2)
    reader, writer = await asyncio.open_connection("127.0.0.1", port.port)
    began = time.monotonic()
    async with asyncio.timeout(10):
        with suppress(ConnectionError):
            await reader.read()
    assert time.monotonic() - began < 5
    writer.close()


@pytest.mark.parametrize("port", ["https"], indirect=True)
async def test_a_flood_of_handshakes_does_not_shut_others_out(port: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TlsListener, "max_handshakes", 20)
    flood = [await asyncio.open_connection("127.0.0.1", port.port) for _ in range(60)]
    assert await answer_to(port, HELLO) == (200, {"hello": True})
    async with asyncio.timeout(10):  # the oldest have been let go, long before their time
        with suppress(ConnectionError):
            await flood[0][0].read()
    for _, writer in flood:
        writer.close()


@pytest.mark.parametrize("port", ["https"], indirect=True)
async def test_plain_http_at_a_listener_for_tls_is_let_go(port: Place) -> None:
    assert await answer_to(Place(port.port, None), HELLO) == (0, {})
