"""`tactful lab` as a process: it listens, and ends at a signal or when its log cannot be written."""

import asyncio
import ipaddress
import os
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from aiohttp import web

from services.kit.http.server import CannotListen, open_listener
from services.kit.runtime.clock import SystemClock
from services.lab.arrival_log import LOG_FILE, ArrivalLog, LogUnusable
from services.lab.lab_keys import LabKeys, LabSecretUnusable, load_or_create_keys
from services.lab.lab_script import LabScript
from services.lab.lab_server import Lab
from services.lab.receipt_sender import ReceiptSender

ADDRESS_FILE: Final = "address"
"""The file in the lab's directory that holds its address while it runs."""


class NotLoopback(Exception):
    """The lab listens on, and calls, this machine alone unless it is told otherwise."""


@dataclass(frozen=True, slots=True)
class LabOptions:
    """How a lab runs. `receipts_url`: of the Tactful that its providers tell. `remote`: other machines are allowed."""

    directory: Path
    host: str
    port: int
    receipts_url: str
    script: LabScript
    remote: bool = False

    def check_hosts(self) -> None:
        """Raises NotLoopback."""
        if self.remote:
            return
        for option, host in (("--host", self.host), ("--receipts", urlsplit(self.receipts_url).hostname or "")):
            if not is_loopback(host):
                raise NotLoopback(f"{option}: `{host}` is not this machine; --allow-remote allows it")


def is_loopback(host: str) -> bool:
    """Whether a host is this machine, as an address or as `localhost`."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def run_lab(options: LabOptions) -> int:
    """Serves until a signal arrives. Returns the exit code: 0 ok, 1 failed."""
    umask = os.umask(0o077)
    try:
        options.check_hosts()
        keys = load_or_create_keys(options.directory)
        with open_listener(options.host, options.port) as listener:
            return asyncio.run(_serve(options, keys, listener))
    except (NotLoopback, LabSecretUnusable, LogUnusable, CannotListen) as error:
        print(f"tactful lab: {error}", file=sys.stderr)  # noqa: T201 - for people
        return 1
    finally:
        os.umask(umask)


async def _serve(options: LabOptions, keys: LabKeys, listener: socket.socket) -> int:
    log = ArrivalLog(options.directory / LOG_FILE)
    receipts = ReceiptSender(options.receipts_url, keys, SystemClock())
    lab = Lab(keys, log, receipts, SystemClock(), options.script)
    runner = web.ServerRunner(web.Server(lab.handle, access_log=None), shutdown_timeout=1.0)
    await runner.setup()
    await web.SockSite(runner, listener).start()
    try:
        with _publish_address(options, listener) as address:
            print(_format_greeting(options, address), file=sys.stderr, flush=True)  # noqa: T201 - for people
            return await _wait_for_end(lab)
    finally:
        await runner.cleanup()
        await receipts.close()
        await log.close()


async def _wait_for_end(lab: Lab) -> int:
    """0 after a signal; 1 once the log cannot be written."""
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    waits = [asyncio.create_task(event.wait()) for event in (stopped, lab.failed)]
    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    for each in waits:
        each.cancel()
    if lab.failed.is_set():
        print("tactful lab: the log cannot be written, or is full", file=sys.stderr)  # noqa: T201 - for people
        return 1
    return 0


@contextmanager
def _publish_address(options: LabOptions, listener: socket.socket) -> Iterator[str]:
    host, port = listener.getsockname()[:2]
    address = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    path = options.directory / ADDRESS_FILE
    path.write_text(f"{address}\n", "utf-8")
    try:
        yield address
    finally:
        path.unlink(missing_ok=True)


def _format_greeting(options: LabOptions, address: str) -> str:
    return "\n".join(
        (
            "The provider lab is running. It sends nothing to anybody.",
            "",
            f"Providers  {address}/<name>",
            f"Receipts   to {options.receipts_url}",
            f"Log        {options.directory / LOG_FILE}",
            "Settings   tactful lab settings <name>",
        )
    )
