"""A provider on loopback that takes whatever is posted, or fails in one of several ways: `Mode`.

`python -m tests.bench.faulty_provider PORT` reads commands from its standard input, one a line: a mode, or `report`,
which is answered by a line of JSON: how many messages were taken, how many of them for the first time, and when the
last one came (seconds since 1970).
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import NamedTuple, cast

import uvloop

from tests.bench.sink import END, LENGTH
from tests.support.servers import ROOT, answers, free_port, wait_for

BODY = b'{"data":{"id":"taken"}}'
TAKEN = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(BODY) + BODY
TOO_MANY = b"HTTP/1.1 429 Too Many Requests\r\nretry-after: 30\r\ncontent-length: 0\r\n\r\n"
ID = b"webhook-id: "


class Mode(StrEnum):
    """What becomes of a request."""

    healthy = "healthy"
    silent = "silent"
    """It is read and never answered."""
    refusing = "refusing"
    """Nobody listens."""
    too_many = "too_many"
    """429, come back in thirty seconds."""
    trickling = "trickling"
    """One byte of the answer a second."""


class ProviderReport(NamedTuple):
    """What has arrived so far."""

    taken: int
    different: int
    last: float


class FaultyProvider:
    """The messages that it has taken, and how it behaves now."""

    def __init__(self) -> None:
        self.mode = Mode.healthy
        self.taken, self.last = 0, 0.0
        self.ids: set[bytes] = set()

    def take(self, head: bytes) -> None:
        """A message was taken."""
        self.taken, self.last = self.taken + 1, time.time()
        found = head.lower().find(ID)
        if found >= 0:
            self.ids.add(head[found + len(ID) : head.index(b"\r\n", found)])

    def report(self) -> ProviderReport:
        """See above."""
        return ProviderReport(self.taken, len(self.ids), self.last)


class ProviderConnection(asyncio.Protocol):
    """One connection, request after request."""

    def __init__(self, provider: FaultyProvider) -> None:
        self._provider = provider
        self._rest = b""
        self._trickling: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Nothing has come yet."""
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Whoever has asked has gone."""
        if self._trickling is not None:
            self._trickling.cancel()

    def data_received(self, data: bytes) -> None:
        """Answer each request that is complete, as the mode says."""
        self._rest += data
        while (head := self._rest.find(END)) >= 0:
            found = LENGTH.search(self._rest, 0, head)
            end = head + len(END) + (int(found[1]) if found else 0)
            if end > len(self._rest):
                return
            self._answer(self._rest[: head + 2])
            self._rest = self._rest[end:]

    def _answer(self, head: bytes) -> None:
        match self._provider.mode:
            case Mode.healthy:
                self._provider.take(head)
                self._transport.write(TAKEN)
            case Mode.too_many:
                self._transport.write(TOO_MANY)
            case Mode.trickling:
                self._trickling = asyncio.get_running_loop().create_task(self._trickle())
            case Mode.silent | Mode.refusing:
                pass

    async def _trickle(self) -> None:
        for place in range(len(TAKEN)):
            self._transport.write(TAKEN[place : place + 1])
            await asyncio.sleep(1.0)


async def serve(port: int) -> None:
    """Serve, and follow commands until the input ends."""
    loop, provider = asyncio.get_running_loop(), FaultyProvider()
    commands = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)

    async def listen() -> asyncio.AbstractServer:
        return await loop.create_server(lambda: ProviderConnection(provider), "127.0.0.1", port, backlog=1024)

    server = await listen()
    while line := (await commands.readline()).decode().strip():
        if line == "report":
            print(json.dumps(provider.report()), flush=True)
            continue
        before, provider.mode = provider.mode, Mode(line)
        if provider.mode is Mode.refusing:
            server.close()
        elif before is Mode.refusing:
            server = await listen()
        print("{}", flush=True)


class ProviderHandle:
    """A provider in a process of its own."""

    def __init__(self, process: subprocess.Popen[str], port: int) -> None:
        self._process, self.port = process, port

    def follow(self, mode: Mode) -> None:
        """From now on it behaves so."""
        self._ask(mode.value)

    def report(self) -> ProviderReport:
        """What has arrived so far."""
        taken, different, last = self._ask("report")
        return ProviderReport(int(taken), int(different), last)

    def _ask(self, line: str) -> list[float]:
        assert self._process.stdin is not None and self._process.stdout is not None
        print(line, file=self._process.stdin, flush=True)
        return cast("list[float]", json.loads(self._process.stdout.readline()))


@contextmanager
def faulty_provider() -> Iterator[ProviderHandle]:
    """A provider that is healthy at first."""
    port = free_port()
    command = [sys.executable, "-m", "tests.bench.faulty_provider", str(port)]
    process = subprocess.Popen(command, cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        wait_for(lambda: answers(port), "a provider")
        yield ProviderHandle(process, port)
    finally:
        process.kill()
        process.communicate()  # waits, and closes its pipes


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
