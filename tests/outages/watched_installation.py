"""All three services on Kafka and PostgreSQL, under a steady load, and a Prometheus with our rules that watches."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from tests.support import servers
from tests.support.delivery_evidence import receipts
from tests.support.installation import Installation, world
from tests.support.prometheus_server import Prometheus, prometheus
from tests.support.seed_documents import TRACKED, customer
from tests.support.service_processes import ADMIN_KEY, FACTS, ROLES, Cluster

CUSTOMERS = tuple(f"watched-{number}" for number in range(20))
EVENTS_A_SECOND = 2.0


@dataclass
class SteadyLoad:
    """Events over HTTP, as an upstream application sends them; those that were not taken are not sent again."""

    url: str
    taken: set[int] = field(default_factory=set)
    """The numbers of events that were answered with 202."""
    refused: int = 0
    ended: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Send until `ended`."""
        headers = {"Authorization": f"Bearer {ADMIN_KEY}", "Content-Type": "application/cloudevents+json"}
        number = 0
        with httpx.Client(base_url=self.url, headers=headers, timeout=15, trust_env=False) as client:
            while not self.ended.wait(1 / EVENTS_A_SECOND):
                number += 1
                try:
                    answer = client.post("/v1/events", content=json.dumps(_event(number)))
                except httpx.TransportError:
                    self.refused += 1
                    continue
                if answer.status_code == 202:
                    self.taken.add(number)
                else:
                    self.refused += 1


def _event(number: int) -> dict[str, object]:
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    event = {"specversion": "1.0", "source": "/watched", "id": f"w-{number}", "type": TRACKED, "time": now}
    return {**event, "subject": CUSTOMERS[number % len(CUSTOMERS)], "data": {"n": number}}


@dataclass(frozen=True)
class WatchedInstallation:
    """The installation, its servers, its load and who watches it."""

    installation: Installation
    broker: servers.Kafka
    database: servers.Postgres
    prometheus: Prometheus
    load: SteadyLoad

    @property
    def cluster(self) -> Cluster:
        """The services and the provider."""
        return self.installation.cluster

    def unanswered(self) -> set[int]:
        """The numbers of events that were taken, and of which the provider has no message yet."""
        taken = set(self.load.taken)
        texts = (each.body["data"]["content"]["body"] for each in receipts(self.cluster.receipts))
        return taken - {int(text.removeprefix("This is ").removesuffix(".")) for text in texts}

    def command_settings(self) -> dict[str, str]:
        """What the command line has to be told to find it."""
        addresses = {f"TACTFUL_SERVICES__{name.upper()}_URL": self.cluster[name].url for name in FACTS}
        return {
            **addresses,
            "TACTFUL_SERVICES__ORCHESTRATOR_URL": self.cluster.orchestrator,
            "TACTFUL_ADMIN_KEY": ADMIN_KEY,
        }


@contextlib.contextmanager
def watched_installation(directory: Path, interval: float, hurry: float = 1.0) -> Iterator[WatchedInstallation]:
    """Runs it. `interval`: seconds between two looks of Prometheus; `hurry`: how much sooner alerts fire than their
    rules say. Skips the test where Kafka, PostgreSQL or Prometheus is missing.
    """
    with (
        servers.kafka(directory / "kafka") as broker,
        servers.postgres(directory / "postgres") as database,
        world(database, broker.bootstrap, directory / "services") as installation,
    ):
        cluster = installation.cluster
        for name in CUSTOMERS:
            installation.api("preference").call("PUT", f"/v1/preferences/{name}", json=customer(name))
        targets = {name: [_address(cluster, name)] for name in FACTS}
        targets["orchestrator"] = [_address(cluster, role) for role in ROLES]
        load = SteadyLoad(cluster.orchestrator)
        thread = threading.Thread(target=load.run, daemon=True)
        with prometheus(directory / "prometheus", targets, interval, hurry) as server:
            thread.start()
            try:
                yield WatchedInstallation(installation, broker, database, server, load)
            finally:
                load.ended.set()
                thread.join(timeout=30)


def _address(cluster: Cluster, name: str) -> str:
    return cluster[name].url.removeprefix("http://")
