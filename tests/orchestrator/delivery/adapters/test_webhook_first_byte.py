"""The first byte of a webhook: when the gate is asked and told, what counts as written, that nothing is sent twice."""

import asyncio
import socket
import ssl
import struct
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
import uvloop

from schemas.message import HandoverResult
from services.kit.http.outbound import OutboundGuard, parse_networks
from services.kit.runtime.clock import SystemClock
from services.orchestrator.delivery.adapters.webhook.adapter import WebhookAdapter, WebhookAdapterSettings
from tests.support.webhook_receiver import (
    SECRET,
    Answer,
    Receiver,
    RecordingFirstByteGuard,
    message,
    serving,
    serving_tls,
    trusting,
)

ASKED = [("before", "msg_1"), ("after", "msg_1")]
GOOD = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"
LARGE = {"subject": "Hi", "html": "x" * 8_000_000, "text": "Hi"}
"""More than the kernel keeps for a receiver that does not read."""


@asynccontextmanager
async def hooked(url: str, **fields: Any) -> AsyncIterator[WebhookAdapter]:
    settings = WebhookAdapterSettings(url=url, secret=SECRET, **fields)
    webhook = WebhookAdapter(settings, SystemClock(), OutboundGuard(parse_networks("127.0.0.0/8")), trusting())
    try:
        yield webhook
    finally:
        async with asyncio.timeout(5):
            await webhook.close()


async def send(
    webhook: WebhookAdapter, gate: RecordingFirstByteGuard, id: str = "msg_1", **fields: object
) -> HandoverResult:
    [handed] = await webhook.send_batch([message(id, **fields)], gate)
    return handed


async def until(reached: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not reached():
            await asyncio.sleep(0.005)


def reset(peer: socket.socket) -> None:
    """Close at once, so that the other side gets a reset."""
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.close()


class Wiretap:
    """A receiver without a loop, and a gate that looks at what has come so far at the very moment it is called."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.peer: socket.socket | None = None
        self.seen: list[tuple[str, bytes]] = []

    def before(self, message_id: str) -> None:
        if self.peer is None:
            self.peer, _ = self.listener.accept()
            self.peer.setblocking(False)
        self.seen.append(("before", self._come()))

    def after(self, message_id: str) -> None:
        self.seen.append(("after", self._come()[:5]))
        assert self.peer is not None
        self.peer.sendall(GOOD)

    def _come(self) -> bytes:
        assert self.peer is not None
        with suppress(BlockingIOError):
            return self.peer.recv(1 << 16)
        return b""


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_the_gate_stands_right_before_and_right_after_the_first_byte(
    loop: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    async def twice(tap: Wiretap) -> list[HandoverResult]:
        async with hooked(f"http://127.0.0.1:{tap.listener.getsockname()[1]}/", concurrency=1) as webhook:
            return await webhook.send_batch([message("msg_a"), message("msg_b")], tap)

    tap = Wiretap()
    with tap.listener, asyncio.Runner(loop_factory=loop) as runner:
        handed = runner.run(twice(tap))
        assert tap.peer is not None
        tap.peer.close()
    assert [each.outcome for each in handed] == ["accepted", "accepted"]
    assert tap.seen == [("before", b""), ("after", b"POST ")] * 2


@pytest.mark.parametrize("content", [{"subject": "Hi"}, LARGE])
async def test_a_receiver_that_never_reads_may_have_got_the_first_byte_and_its_connection_is_dropped(
    content: dict[str, str],
) -> None:
    gate = RecordingFirstByteGuard()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        async with hooked(f"http://127.0.0.1:{listener.getsockname()[1]}/", timeout=0.5) as webhook:
            handed = await send(webhook, gate, content=content)
            peer, _ = await asyncio.get_running_loop().run_in_executor(None, listener.accept)
            with peer:
                received = await asyncio.to_thread(read_to_the_end, peer)
    assert (handed.outcome, handed.detail, gate.calls) == ("unknown", "TimeoutError", ASKED)
    assert received < 6_000_000


def read_to_the_end(peer: socket.socket) -> int:
    peer.settimeout(5)
    received = 0
    with suppress(ConnectionResetError):
        while chunk := peer.recv(1 << 20):
            received += len(chunk)
    return received


def shake_hands(listener: socket.socket, go: threading.Event) -> bytes:
    """One TLS connection whose handshake waits for `go`; what came through it."""
    peer, _ = listener.accept()
    go.wait(5)
    try:
        with serving_tls().wrap_socket(peer, server_side=True) as tls:
            return tls.recv(1000)
    except (ssl.SSLError, ConnectionError):
        return b""


async def test_a_deadline_that_passes_while_connecting_leaves_nothing_on_the_wire() -> None:
    gate, go = RecordingFirstByteGuard(), threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        shaken = asyncio.create_task(asyncio.to_thread(shake_hands, listener, go))
        async with hooked(f"https://127.0.0.1:{listener.getsockname()[1]}/") as webhook:
            sent = asyncio.create_task(send(webhook, gate))
            await asyncio.sleep(0.1)
            gate.late.add("msg_1")
            go.set()
            handed = await sent
        assert await shaken == b""
    assert (handed.outcome, handed.detail, gate.calls) == ("retry", "past_deadline", [])


async def test_a_handshake_that_takes_too_long_is_a_retry_and_the_gate_is_not_asked() -> None:
    gate, go = RecordingFirstByteGuard(), threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        shaken = asyncio.create_task(asyncio.to_thread(shake_hands, listener, go))
        async with hooked(f"https://127.0.0.1:{listener.getsockname()[1]}/", connect_timeout=0.1) as webhook:
            handed = await send(webhook, gate)
        go.set()
        assert await shaken == b""
    assert (handed.outcome, handed.detail, gate.calls) == ("retry", "ConnectionTimeoutError", [])


async def test_a_reset_before_any_byte_is_a_retry_and_the_gate_is_not_asked() -> None:
    gate = RecordingFirstByteGuard()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        gone = asyncio.create_task(asyncio.to_thread(lambda: reset(listener.accept()[0])))
        async with hooked(f"https://127.0.0.1:{listener.getsockname()[1]}/") as webhook:
            handed = await send(webhook, gate)
        await gone
    assert (handed.outcome, gate.calls) == ("retry", [])


async def test_a_message_past_its_deadline_leaves_no_trace_on_a_kept_connection() -> None:
    receiver, gate = Receiver(), RecordingFirstByteGuard(late={"msg_b"})
    async with serving(receiver) as url, hooked(url) as webhook:
        handed = [await send(webhook, gate, id) for id in ("msg_a", "msg_b", "msg_c")]
        await until(lambda: receiver.left == 1)
    assert [each.outcome for each in handed] == ["accepted", "retry", "accepted"]
    assert [headers["webhook-id"] for headers, _ in receiver.seen] == ["msg_a", "msg_c"]
    assert receiver.connected == 2


async def _reset(writer: asyncio.StreamWriter) -> None:
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()


@pytest.mark.parametrize("answer", [_reset, _close])
async def test_a_message_is_posted_once_whatever_becomes_of_a_kept_connection(answer: Answer) -> None:
    receiver, gate = Receiver(GOOD), RecordingFirstByteGuard()
    async with serving(receiver) as url, hooked(url) as webhook:
        await send(webhook, RecordingFirstByteGuard(), "msg_0")
        receiver.answer = answer
        handed = await send(webhook, gate)
        await until(lambda: receiver.left == 0)
    assert (handed.outcome, gate.calls) == ("unknown", ASKED)
    assert [headers["webhook-id"] for headers, _ in receiver.seen] == ["msg_0", "msg_1"]


@pytest.mark.parametrize("end", [_reset, _close])
async def test_a_connection_that_ended_while_idle_is_replaced(end: Answer) -> None:
    async def then_end(writer: asyncio.StreamWriter) -> None:
        writer.write(GOOD)
        await writer.drain()
        await asyncio.sleep(0.05)
        await end(writer)

    receiver, gate = Receiver(then_end), RecordingFirstByteGuard()
    async with serving(receiver) as url, hooked(url) as webhook:
        await send(webhook, RecordingFirstByteGuard(), "msg_0")
        await until(lambda: receiver.left == 0)
        await asyncio.sleep(0.05)
        handed = await send(webhook, gate)
    assert (handed.outcome, gate.calls, receiver.connected) == ("accepted", ASKED, 2)


async def test_an_answer_that_nobody_asked_for_answers_nothing() -> None:
    unasked = asyncio.Event()

    async def twice(writer: asyncio.StreamWriter) -> None:
        writer.write(GOOD)
        await asyncio.sleep(0.05)
        writer.write(GOOD)
        unasked.set()

    receiver, gate = Receiver(twice), RecordingFirstByteGuard()
    async with serving(receiver) as url, hooked(url) as webhook:
        await send(webhook, RecordingFirstByteGuard(), "msg_0")
        await unasked.wait()
        await asyncio.sleep(0.05)
        handed = await send(webhook, gate)
    assert (handed.outcome, gate.calls, len(receiver.seen)) == ("retry", [], 1)


def hasty(listener: socket.socket, answer: bytes) -> socket.socket:
    """Answers before it has read the body."""
    peer, _ = listener.accept()
    peer.recv(1000)
    peer.sendall(answer)
    return peer


async def test_a_request_does_not_queue_behind_one_that_the_receiver_has_not_read() -> None:
    gate = RecordingFirstByteGuard()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        answered = asyncio.create_task(asyncio.to_thread(hasty, listener, GOOD))
        async with hooked(f"http://127.0.0.1:{listener.getsockname()[1]}/") as webhook:
            first = await send(webhook, RecordingFirstByteGuard(), content=LARGE)
            second = await send(webhook, gate)
        (await answered).close()
    assert (first.outcome, second.outcome, gate.calls) == ("accepted", "retry", [])


async def test_what_a_receiver_did_not_wait_for_is_dropped_with_its_answer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        answer = b"HTTP/1.1 400 No\r\ncontent-length: 1000\r\n\r\nNo"
        answered = asyncio.create_task(asyncio.to_thread(hasty, listener, answer))
        async with hooked(f"http://127.0.0.1:{listener.getsockname()[1]}/") as webhook:
            handed = await send(webhook, RecordingFirstByteGuard(), content=LARGE)
            with await answered as peer:
                received = await asyncio.to_thread(read_to_the_end, peer)
    assert handed.outcome == "rejected"
    assert received < 6_000_000


async def test_a_batch_that_is_cancelled_drops_its_connections() -> None:
    async def not_yet(writer: asyncio.StreamWriter) -> None:
        while True:
            writer.write(b"HTTP/1.1 102 Processing\r\n\r\n")
            await writer.drain()
            await asyncio.sleep(0.01)

    receiver, gate = Receiver(not_yet), RecordingFirstByteGuard()
    async with serving(receiver) as url, hooked(url) as webhook:
        batch = asyncio.create_task(webhook.send_batch([message(f"msg_{number}") for number in range(9)], gate))
        await until(lambda: len(receiver.seen) == 9)
        batch.cancel()
        with pytest.raises(asyncio.CancelledError):
            await batch
        await until(lambda: receiver.left == 0)
    assert sorted(gate.before_calls) == sorted(gate.after_calls)


async def test_over_tls_the_same_holds() -> None:
    receiver, gate = Receiver(), RecordingFirstByteGuard()
    async with serving(receiver, serving_tls()) as url, hooked(url) as webhook:
        handed = [await send(webhook, gate) for _ in range(2)]
    assert [each.outcome for each in handed] == ["accepted", "accepted"]
    assert (gate.calls, receiver.connected) == (ASKED * 2, 1)
