"""The body of a POST: which connections it refuses, with nothing written and the gate not asked."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import ClientConnectionError
from aiohttp.client_proto import ResponseHandler
from aiohttp.http import StreamWriter

from services.orchestrator.delivery.adapters.guarded_body import GuardedBody
from services.orchestrator.delivery.deadline import PastDeadline
from tests.support.webhook_receiver import RecordingFirstByteGuard


@asynccontextmanager
async def connected() -> AsyncIterator[tuple[ResponseHandler, socket.socket]]:
    """A client connection of aiohttp as its pool would give it out, and the other end."""
    loop = asyncio.get_running_loop()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        transport, protocol = await loop.create_connection(lambda: ResponseHandler(loop), *listener.getsockname())
        protocol.set_response_params()
        with listener.accept()[0] as peer:
            peer.settimeout(5)
            yield protocol, peer
        transport.abort()
        await asyncio.sleep(0)


async def write(body: GuardedBody, protocol: ResponseHandler) -> None:
    await body.write(StreamWriter(protocol, asyncio.get_running_loop()))


async def came(protocol: ResponseHandler, peer: socket.socket) -> int:
    """How many bytes came until our end was closed."""
    protocol.close()
    received = 0
    while chunk := await asyncio.to_thread(peer.recv, 1 << 20):
        received += len(chunk)
    return received


async def test_it_is_written_between_the_two_calls_of_the_gate() -> None:
    gate = RecordingFirstByteGuard()
    body = GuardedBody("msg_1", b"{}", gate)
    async with connected() as (protocol, peer):
        await write(body, protocol)
        assert peer.recv(100) == b"{}"
    assert (body.written, body.past_deadline, gate.calls) == (True, False, [("before", "msg_1"), ("after", "msg_1")])


async def test_it_is_never_written_twice() -> None:
    gate = RecordingFirstByteGuard()
    body = GuardedBody("msg_1", b"{}", gate)
    async with connected() as (protocol, _), connected() as (second, peer):
        await write(body, protocol)
        with pytest.raises(ClientConnectionError):
            await write(body, second)
        assert await came(second, peer) == 0
    assert gate.before_calls == ["msg_1"]


async def test_it_is_not_written_after_its_deadline() -> None:
    body = GuardedBody("msg_1", b"{}", RecordingFirstByteGuard(late={"msg_1"}))
    async with connected() as (protocol, peer):
        with pytest.raises(PastDeadline):
            await write(body, protocol)
        assert await came(protocol, peer) == 0
    assert (body.written, body.past_deadline) == (False, True)


def close(body: GuardedBody, protocol: ResponseHandler) -> None:
    assert protocol.transport is not None
    protocol.transport.close()


def lose(body: GuardedBody, protocol: ResponseHandler) -> None:
    protocol.close()


def owe(body: GuardedBody, protocol: ResponseHandler) -> None:
    assert protocol.transport is not None
    protocol.transport.write(b"x" * 8_000_000)


def speak_first(body: GuardedBody, protocol: ResponseHandler) -> None:
    protocol.data_received(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")


def give_up(body: GuardedBody, protocol: ResponseHandler) -> None:
    body.abort()


@pytest.mark.parametrize("happens", [close, lose, owe, speak_first, give_up])
async def test_a_connection_that_is_not_fit_for_it_gets_nothing(
    happens: Callable[[GuardedBody, ResponseHandler], None],
) -> None:
    gate = RecordingFirstByteGuard()
    body = GuardedBody("msg_1", b"{}", gate)
    async with connected() as (protocol, _):
        happens(body, protocol)
        with pytest.raises(ClientConnectionError, match="another one later"):
            await write(body, protocol)
    assert (body.written, body.past_deadline, gate.calls) == (False, False, [])


async def test_giving_up_drops_what_was_not_taken() -> None:
    body = GuardedBody("msg_1", b"x" * 8_000_000, RecordingFirstByteGuard())
    async with connected() as (protocol, peer):
        await write(body, protocol)
        body.abort()
        assert await came(protocol, peer) < 6_000_000
