"""A webhook receiver on a real socket that can misbehave, and a first-byte guard that records its calls."""

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import SecretStr

from schemas.message import Message
from services.orchestrator.delivery.deadline import PastDeadline

KEY = b"0123456789abcdef0123456789abcdef"
SECRET = SecretStr("whsec_" + base64.b64encode(KEY).decode())
CERTIFICATE = Path(__file__).with_name("loopback.pem")
"""For 127.0.0.1 only, signed by itself, with its key; made for these tests."""
Answer = Callable[[asyncio.StreamWriter], Awaitable[None]]


def message(id: str = "msg_1", **fields: object) -> Message:
    values: dict[str, object] = {
        "id": id, "customer": "c-1", "campaign": "offer", "version": 1, "channel": "email", "cls": "marketing",
        "to": "ada@example.org", "content": {"subject": "Hi", "html": "<p>Hi</p>", "text": "Hi"},
        "event_source": "/shop", "event_id": "e-1",
    }  # fmt: skip
    return Message(**{**values, **fields})  # type: ignore[arg-type]


@dataclass
class RecordingFirstByteGuard:
    """A FirstByte: refuses the late, and keeps each call in order."""

    late: set[str] = field(default_factory=set)
    calls: list[tuple[str, str]] = field(default_factory=list)

    def before(self, message_id: str) -> None:
        if message_id in self.late:
            raise PastDeadline(message_id)
        self.calls.append(("before", message_id))

    def after(self, message_id: str) -> None:
        self.calls.append(("after", message_id))

    @property
    def before_calls(self) -> list[str]:
        return [each for what, each in self.calls if what == "before"]

    @property
    def after_calls(self) -> list[str]:
        return [each for what, each in self.calls if what == "after"]


@dataclass
class Receiver:
    """Reads requests and answers each with `answer`; keeps (headers, body) of each.

    `open` and `most_open` count requests; `connected` counts the connections that there ever were, `left` those that
    are still there.
    """

    answer: bytes | Answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"
    seen: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    open: int = 0
    most_open: int = 0
    connected: int = 0
    serving: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def left(self) -> int:
        return len(self.serving)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connected += 1
        task = asyncio.current_task()
        assert task is not None
        self.serving.add(task)
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
                pairs = [line.partition(": ") for line in head[1:] if line]
                headers = {name.lower(): value for name, _, value in pairs}
                body = await reader.readexactly(int(headers.get("content-length", "0")))
                self.seen.append((headers, body))
                self.open += 1
                self.most_open = max(self.most_open, self.open)
                await asyncio.sleep(0.001)
                self.open -= 1
                if isinstance(self.answer, bytes):
                    writer.write(self.answer)
                    await writer.drain()
                else:
                    await self.answer(writer)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.transport.abort()
            with suppress(OSError, asyncio.CancelledError):
                await writer.wait_closed()
            self.serving.discard(task)

    async def stop(self) -> None:
        """Leave no connection behind."""
        rest = list(self.serving)
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest)


@asynccontextmanager
async def serving(receiver: Receiver, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """The receiver on a free port of this machine; the URL."""
    server = await asyncio.start_server(receiver.serve, "127.0.0.1", 0, ssl=tls)
    try:
        yield f"http{'s' if tls else ''}://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook"
    finally:
        server.close()
        await receiver.stop()


def serving_tls() -> ssl.SSLContext:
    """What a receiver with our certificate needs."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(CERTIFICATE)
    return context


def trusting() -> ssl.SSLContext:
    """Believes our certificate alone."""
    return ssl.create_default_context(cafile=CERTIFICATE)
