"""What handing over costs alone: one process, one adapter, a provider on loopback that takes everything.

`python -m tests.bench.handing_over` prints one line of JSON: for each row its messages a second, and the processor
time of this process for each message; the provider is another process, and not counted.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

import uvloop
from sqlalchemy.ext.asyncio import create_async_engine

from schemas.adapter_registry import ADAPTER_REGISTRY
from schemas.message import Message
from services.kit.db.database import Database
from services.kit.http.outbound import OutboundGuard, parse_networks
from services.kit.runtime.clock import SystemClock
from services.orchestrator.delivery.adapters.definition import Adapter, AdapterContext
from services.orchestrator.mail_settings import MailSettings
from tests.bench.ours import SECRET
from tests.support.servers import ROOT, answers, free_port, wait_for

HTML: Final = f"<p>{'We packed it with care. ' * 54}</p>"
TEXT: Final = "We packed it with care. " * 28
"""With these, a message's content is 2,000 bytes."""
BATCH: Final = 500
"""Messages of one call of an adapter, as a dispatcher makes them."""
SECONDS: Final = 5.0
"""How long each row is measured, after one batch that opens the connections."""


class AlwaysInTime:
    """A first-byte guard of a test that never runs late."""

    def before(self, message_id: str) -> None:
        """May be written."""

    def after(self, message_id: str) -> None:
        """Was written."""


async def main() -> None:
    """Measure all rows, one after the other."""
    found = {}
    with sink("sink") as port:
        url = f"http://127.0.0.1:{port}/messages"
        found["webhook"] = await _measure("webhook", {"url": url, "secret": SECRET})
    with sink("mail_sink") as port:
        server = {"host": "127.0.0.1", "port": str(port), "security": "none"}
        found["smtp one"] = await _measure("smtp", {**server, "connections": "1"})
        found["smtp four"] = await _measure("smtp", {**server, "connections": "4"})
    print(json.dumps(found))


@contextmanager
def sink(module: str) -> Iterator[int]:
    """A provider in a process of its own. Yields its port."""
    port = free_port()
    process = subprocess.Popen([sys.executable, "-m", f"tests.bench.{module}", str(port)], cwd=ROOT)
    try:
        wait_for(lambda: answers(port), module)
        yield port
    finally:
        process.kill()
        process.wait()


async def _measure(name: str, settings: Mapping[str, str]) -> dict[str, float]:
    adapter = _open(name, settings)
    await _hand_over(adapter, _messages(0))
    count, began, before = 0, time.monotonic(), time.process_time()
    while (seconds := time.monotonic() - began) < SECONDS:
        count += BATCH
        await _hand_over(adapter, _messages(count))
    seconds, spent = time.monotonic() - began, time.process_time() - before
    await adapter.close()
    return {"rate": count / seconds, "cpu": spent / count * 1e6}


def _open(name: str, settings: Mapping[str, str]) -> Adapter:
    context = AdapterContext(
        settings=ADAPTER_REGISTRY.declarations[name].settings.model_validate(settings),
        timeout=10.0,
        database=Database(create_async_engine("sqlite+aiosqlite://"), "sqlite"),  # never connected to
        clock=SystemClock(),
        outbound=OutboundGuard(parse_networks("127.0.0.0/8")),
        mail=MailSettings(from_address="shop@shop.example", from_name="Shop"),
    )
    adapter: Adapter = ADAPTER_REGISTRY.load_module(name, "adapter").create_adapter(context)
    return adapter


async def _hand_over(adapter: Adapter, messages: Sequence[Message]) -> None:
    results = await adapter.send_batch(messages, AlwaysInTime())
    refused = [result for result in results if result.outcome != "accepted"]
    if refused:
        raise RuntimeError(f"{adapter.name}: {len(refused)} of {len(messages)} not accepted: {refused[0].detail}")


def _messages(first: int) -> list[Message]:
    return [
        Message(
            id=f"msg_{number}",
            customer=f"customer-{number}",
            campaign="bench",
            version=1,
            channel="email",
            cls="transactional",
            to=f"c{number}@example.org",
            content={"subject": "Your order", "html": HTML, "text": TEXT},
            event_source="/bench/shop",
            event_id=f"e-{number}",
        )
        for number in range(first, first + BATCH)
    ]


if __name__ == "__main__":
    uvloop.run(main())
