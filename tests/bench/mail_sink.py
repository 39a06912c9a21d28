"""A mail server on loopback that takes every mail: `python -m tests.bench.mail_sink PORT`. As cheap as SMTP can be."""

from __future__ import annotations

import asyncio
import sys
from typing import Final, cast

import uvloop

REPLIES: Final = {b"EHLO": b"250-bench\r\n250 SIZE 10000000\r\n", b"DATA": b"354 go on\r\n", b"QUIT": b"221 bye\r\n"}
"""The other commands get 250."""
END: Final = b"\r\n.\r\n"


class MailTaker(asyncio.Protocol):
    """One connection: a command, a reply; a content, a reply."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet."""
        self._transport = cast(asyncio.Transport, transport)
        self._rest, self._in_content = b"", False
        self._transport.write(b"220 bench\r\n")

    def data_received(self, data: bytes) -> None:
        """Answer each command and each content that is complete."""
        self._rest += data
        while (end := self._rest.find(ending := END if self._in_content else b"\r\n")) >= 0:
            line, self._rest = self._rest[:end], self._rest[end + len(ending) :]
            if self._in_content:
                self._in_content = False
                self._transport.write(b"250 queued\r\n")
                continue
            verb = line[:4].upper()
            self._in_content = verb == b"DATA"
            self._transport.write(REPLIES.get(verb, b"250 ok\r\n"))


async def main(port: int) -> None:
    """Serve until killed."""
    server = await asyncio.get_running_loop().create_server(MailTaker, "127.0.0.1", port, backlog=64)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
