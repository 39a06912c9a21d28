"""An installation of today on the databases of an earlier version: its processes, its topic, and the upgrade itself."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from tests.support import servers
from tests.support.kafka_event_producer import Sent
from tests.support.service_processes import Cluster, Plan, build
from tests.upgrade.make_databases import KEYS

CAMPAIGN_OF = {"shop.paid": "receipt", "shop.parcel.sent": "parcel"}
"""Campaigns of the scenario that send a push message for every event of a type."""
PREFIX = "new-"
"""Customers whom the earlier version did not know have names that begin so."""
PARTITIONS = 6
PATIENCE = 20.0
"""Seconds for the provider's answer: a busy machine must not make a message go out once more, as a late answer does."""


def processes(bootstrap: str, databases: Mapping[str, str], directory: Path) -> Cluster:
    """The processes of today on these databases, none of them started, with a topic of their own."""
    topic = f"events-of-an-upgrade-{time.time_ns()}"
    made = build(Plan(bootstrap, databases, topic, deadline=PATIENCE, timeout=PATIENCE), directory)
    for process in made.processes.values():
        process.environment = {**process.environment, "TACTFUL_ADDRESS_KEY": KEYS["address"]}
    return made


async def make_topic(bootstrap: str, topic: str) -> None:
    """The topic of events, as the earlier version has left one."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(topic, num_partitions=PARTITIONS, replication_factor=1)])
    finally:
        await admin.close()


def person(name: str) -> dict[str, object]:
    """The preferences of a customer who may be sent all campaigns of `CAMPAIGN_OF`."""
    address = {"channel": "push", "address": f"{name}:200", "verified": True}
    return {"country": "DE", "zone": "Europe/Berlin", "locale": "en", "addresses": [address]}


def new_event(number: int, customers: int) -> Sent:
    """The event with a number, of one of so many customers."""
    name, kinds = f"{PREFIX}{number * 7 % customers}", tuple(CAMPAIGN_OF)
    data = {"total": 20, "order": number}
    return Sent(f"{name}-{number}", kinds[number % len(kinds)], name, data, binary=number % 3 == 0)


def upgrade(service: str, url: str, timeout: float = 3600.0) -> float:
    """Upgrades a database as an operator does it; returns the seconds that it took."""
    command = [sys.executable, "-m", "tactful", "db", "upgrade", "--service", service, "--url", url]
    begun = time.monotonic()
    subprocess.run(command, cwd=servers.ROOT, check=True, capture_output=True, timeout=timeout)
    return time.monotonic() - begun
