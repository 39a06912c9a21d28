"""Commands that runbooks show with their output. `python -m tests.support.runbook_transcripts` writes the output anew.

Each runbook starts from the same state: three letters, one in each service, of a producer whose clock was ahead.
"""

import asyncio
import contextlib
import json
import re
import shlex
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from services.kit.bus.local_bus import LocalBus
from services.kit.bus.protocol import Outgoing
from tests.support.command_line import NOON, ROOT, RunningProduct, fill, product

RUNBOOKS = (ROOT / "deploy/runbooks/tactfuldeadlettersold.md", ROOT / "deploy/runbooks/tactfuldeadlettersgrowing.md")
_BLOCK = re.compile(r"^```\n(\$ tactful .*?)^```$", re.DOTALL | re.MULTILINE)
_JOB = re.compile(r"redrive_[0-9a-f]{16}")
_PARTITION = re.compile(r"partition \d+, offset \d+")
_AHEAD = "2026-03-05T12:00:00Z"
"""Three days after noon: events of this time are refused until the day before."""


def _early_event(event_type: str, id: str, **data: Any) -> dict[str, Any]:
    document = {"specversion": "1.0", "id": id, "source": "/shop", "type": event_type}
    return {**document, "subject": "chiara", "time": _AHEAD, "data": data}


SHIPPED = _early_event("shop.order.shipped", "e-1", order="o-1")
OPT_OUT = _early_event("tactful.preference.changed", "e-2", opt_outs=[{"topic": "referrals"}])
COMPLAINT = _early_event("tactful.situation.opened", "e-3", kind="complaint", ref="k-1")


def publish(running: RunningProduct, *documents: dict[str, Any] | bytes) -> None:
    """Publish records to the log of a running product as a producer would; returns when they have been read."""
    records = [
        Outgoing("customer.events", b"chiara", each if isinstance(each, bytes) else json.dumps(each).encode())
        for each in documents
    ]

    async def append() -> None:
        bus = LocalBus(running.directory / "log.db")
        await bus.publish(records)
        await bus.close()

    asyncio.run(append())
    running.ask("POST", "/v1/dev/clock", {"settle": True})


@contextlib.contextmanager
def product_with_letters(directory: Path) -> Iterator[RunningProduct]:
    """`tactful dev` with a letter in each service, on the day when their events are no longer ahead."""
    with product(directory, "--clock", NOON) as running:
        fill(running)
        publish(running, SHIPPED, OPT_OUT, COMPLAINT)
        running.ask("POST", "/v1/dev/clock", {"advance": "72h"})
        yield running


def renew_output(text: str, running: RunningProduct) -> str:
    """Run the commands of a page, in order, and return the page with what they have said."""

    def renew(block: re.Match[str]) -> str:
        lines = []
        for line in block[1].splitlines():
            if line.startswith("$ tactful "):
                done = running.run(*shlex.split(line.removeprefix("$ tactful ")), COLUMNS="110")
                lines += [line, *(each.rstrip() for each in done.screen.splitlines())]
        return "```\n" + "\n".join(lines) + "\n```"

    return _PARTITION.sub("partition 7, offset 0", _JOB.sub("redrive_0123456789abcdef", _BLOCK.sub(renew, text)))


if __name__ == "__main__":
    for path in RUNBOOKS:
        with tempfile.TemporaryDirectory() as folder, product_with_letters(Path(folder) / "data") as running:
            path.write_text(renew_output(path.read_text("utf-8"), running), "utf-8")
