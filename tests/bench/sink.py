"""A provider on loopback that takes every POST: `python -m tests.bench.sink PORT`. As cheap as HTTP can be."""

from __future__ import annotations

import asyncio
import re
import sys
from typing import Final, cast

import uvloop

ANSWER: Final = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"
END: Final = b"\r\n\r\n"
LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


class Taker(asyncio.Protocol):
    """One connection, request after request. Of a request it reads its Content-Length alone."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Nothing has come yet."""
        self._transport = cast(asyncio.Transport, transport)
        self._rest = b""

    def data_received(self, data: bytes) -> None:
        """Answer each request that is complete; requests in a row are answered in a row."""
        data = self._rest + data if self._rest else data
        complete, start = 0, 0
        while (head := data.find(END, start)) >= 0:
            found = LENGTH.search(data, start, head)
            end = head + len(END) + (int(found[1]) if found else 0)
            if end > len(data):
                break
            complete, start = complete + 1, end
        self._rest = data[start:] if start < len(data) else b""
        if complete:
            self._transport.write(ANSWER * complete)


async def main(port: int) -> None:
    """Serve until killed."""
    server = await asyncio.get_running_loop().create_server(Taker, "127.0.0.1", port, backlog=1024)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
