"""A provider in a process of its own: it stores a receipt of every request durably before it answers.

`python -m tests.support.provider_process PORT LOG BEHAVIOUR`. BEHAVIOUR is a JSON file that is read again for
every request:
`{"answer": "accept|fail_after_accept|hang|too_many|cut", "every": 5}` gives that answer to the first request of every
fifth message; all other requests are accepted. `"delay": 0.1` answers each after up to so many seconds. A receipt holds
the time at which its request's head had arrived, on the clock that all processes of a machine share.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
import time
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

HANG = 60.0
"""Seconds."""
ANSWERS: Mapping[str, bytes] = {
    "accept": b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
    "fail_after_accept": b"HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n",
    "too_many": b"HTTP/1.1 429 Too Many Requests\r\nretry-after: 1\r\ncontent-length: 0\r\n\r\n",
}


@dataclass
class Sink:
    """Answers, and remembers which messages it has seen."""

    log: IO[str]
    behaviour: Path
    seen: set[str] = field(default_factory=set)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, request after request."""
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                started = time.monotonic_ns()
                fields = _fields(head)
                body = await reader.readexactly(int(fields["content-length"]))
                chosen = json.loads(self.behaviour.read_text())
                answer = self._answer(fields["webhook-id"], chosen)
                self._keep(fields["webhook-id"], started, answer, body)
                await asyncio.sleep(random.uniform(0, chosen.get("delay", 0)))
                if answer == "hang":
                    await asyncio.sleep(HANG)
                if answer not in ANSWERS:
                    break
                writer.write(ANSWERS[answer])
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    def _answer(self, message_id: str, chosen: Mapping[str, Any]) -> str:
        fresh = message_id not in self.seen
        self.seen.add(message_id)
        odd = fresh and zlib.crc32(message_id.encode()) % int(chosen.get("every", 1)) == 0
        return str(chosen["answer"]) if odd else "accept"

    def _keep(self, message_id: str, started: int, answer: str, body: bytes) -> None:
        receipt = {"id": message_id, "started": started, "answer": answer, "body": json.loads(body)}
        self.log.write(json.dumps(receipt) + "\n")
        self.log.flush()
        os.fsync(self.log.fileno())


def _fields(head: bytes) -> dict[str, str]:
    lines = head.decode("latin-1").split("\r\n")[1:]
    return {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}


async def main(port: int, log: Path, behaviour: Path) -> None:
    """Serve until killed."""
    with log.open("a") as file:
        server = await asyncio.start_server(Sink(file, behaviour).serve, "127.0.0.1", port)
        async with server:
            await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3])))
