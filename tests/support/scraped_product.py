"""A running `tactful dev` under a load of our own, and a Prometheus with our rules that scrapes it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from schemas.documents import load_document
from services.development.imaginary_shop import ShopEventGenerator, generate_customers
from services.kit.bus.local_bus import LocalBus
from services.kit.bus.protocol import Outgoing
from tests.support.command_line import EXAMPLES, RunningProduct, product
from tests.support.prometheus_server import Prometheus, prometheus, require_prometheus
from tests.support.servers import wait_for

UNREADABLE = {"specversion": "1.0", "id": "choice-1", "source": "/shop", "type": "tactful.preference.changed"}
"""Of an opt-out: it lacks the customer, so that it becomes a dead letter."""
SEEDED_SECONDS = 300.0
"""By when the demo has registered its campaigns and customers, on a machine that is busy."""


@dataclass(frozen=True)
class ScrapedProduct(Prometheus):
    """The product, and the Prometheus that scrapes it."""

    running: RunningProduct = field(kw_only=True)


@contextlib.contextmanager
def scraped_product(directory: Path) -> Iterator[ScrapedProduct]:
    """`tactful dev` with its demo, scraped every second. Skips the test without Prometheus; with CI=true it fails."""
    require_prometheus()
    with product(directory / "data") as running:
        targets = {"tactful": [running.address.removeprefix("http://")]}
        with prometheus(directory, targets) as server:
            yield ScrapedProduct(server.address, server.interval, running=running)


@contextlib.contextmanager
def load(running: RunningProduct, events_per_second: float = 8) -> Iterator[None]:
    """Events of the shop until the end of the block, in a thread."""
    wait_for(lambda: running.ask("GET", "/v1/dev/demo")["running"], "the demo's customers", timeout=SEEDED_SECONDS)
    end = threading.Event()
    customers = [each["customer"] for each in generate_customers(150)]
    generator = ShopEventGenerator(seed=11)

    def send() -> None:
        number = 0
        with httpx.Client(base_url=running.address, timeout=30, trust_env=False) as client:
            while not end.wait(1):
                batch = []
                for _ in range(round(events_per_second)):
                    number += 1
                    event = generator.next_event(customers)
                    batch.append(cloud_event(f"load-{number}", event.event_type, event.customer, event.data))
                kind = "application/cloudevents-batch+json"
                headers = {"authorization": f"Bearer {running.keys['admin']}", "content-type": kind}
                with contextlib.suppress(httpx.TransportError):
                    client.post("/v1/events", json=batch, headers=headers)

    thread = threading.Thread(target=send, daemon=True)
    thread.start()
    try:
        yield
    finally:
        end.set()
        thread.join(timeout=30)


def cloud_event(name: str, kind: str, customer: str, data: Mapping[str, Any]) -> dict[str, Any]:
    """An event of the shop, just now."""
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    event = {"specversion": "1.0", "source": "/load", "id": name, "type": kind, "subject": customer, "time": now}
    return {**event, "data": dict(data)}


def activate_policy(running: RunningProduct) -> None:
    """Make the policy of `examples/` active once more, as two people do."""
    version = running.ask("PUT", "/v1/policy", load_document((EXAMPLES / "policy.yaml").read_bytes()))["version"]
    path = f"{running.address}/v1/policy/versions/{version}"
    for action, key in (("submit", "admin"), ("approve", "reviewer"), ("activate", "admin")):
        headers = {"authorization": f"Bearer {running.keys[key]}"}
        httpx.post(f"{path}/{action}", headers=headers, timeout=30, trust_env=False).raise_for_status()


def visit_preferences(running: RunningProduct, customer: str) -> None:
    """Open the page of a customer's preferences, as one who follows a link."""
    links = running.ask("POST", f"/v1/preferences/{customer}/links", {})
    path = "/p/" + links["preferences"].rpartition("/p/")[2]
    httpx.get(running.address + path, timeout=30, trust_env=False).raise_for_status()


def hold_back(running: RunningProduct) -> None:
    """Place a hold on marketing."""
    scope = {"classes": ["marketing"]}
    running.ask("POST", "/v1/holds", {"key": "checkout", "mode": "defer", "scope": scope, "reason": "the shop is down"})


def lift_hold(running: RunningProduct) -> None:
    """Lift it."""
    running.ask("POST", "/v1/holds/checkout/lift", {"reason": "the shop is up"})


def bury(running: RunningProduct, count: int = 1) -> None:
    """Publish records that cannot be applied, past the checks of the HTTP API."""

    async def append() -> None:
        bus = LocalBus(running.directory / "log.db")
        records = [json.dumps({**UNREADABLE, "id": f"choice-{number}"}).encode() for number in range(count)]
        await bus.publish([Outgoing("customer.events", b"jonas", record) for record in records])
        await bus.close()

    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, append()).result()
