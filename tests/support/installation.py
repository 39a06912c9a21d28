"""A running installation of real processes, with the evidence that fault and integration tests check."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.delivery_evidence import Evidence
from tests.support.fresh_databases import migrate
from tests.support.kafka_event_producer import Sent, Shop, shop
from tests.support.seed_documents import CAMPAIGNS, Api, customer, seed
from tests.support.servers import Postgres
from tests.support.service_processes import FACTS, ROLES, Cluster, Plan, Tls, running

CAMPAIGN_OF = {document["trigger"]["event"]: str(document["key"]) for document in CAMPAIGNS}
SERVICES = (*FACTS, "orchestrator")
_numbers = itertools.count()
NO_TOPICS: Mapping[str, str] = {}


def databases(server: Postgres) -> dict[str, str]:
    """A database for each service, at its newest step."""
    urls = {service: server.database() for service in SERVICES}
    for service, url in urls.items():
        migrate(url, f"services.{service}")
    return urls


@dataclass(frozen=True)
class Installation:
    """A running installation. `api` speaks as the admin."""

    cluster: Cluster
    plan: Plan
    sent: list[Sent] = field(default_factory=list)
    """Everything that was ever sent (H_in)."""

    @property
    def evidence(self) -> Evidence:
        """What the checker reads."""
        return Evidence(self.plan.databases, self.cluster.receipts, self.plan.bootstrap, self.plan.topic)

    def api(self, name: str = "orchestrator") -> Api:
        """A client of a service."""
        return Api(self.cluster.orchestrator if name == "orchestrator" else self.cluster[name].url)

    @asynccontextmanager
    async def shop(self) -> AsyncIterator[Shop]:
        """A producer of events."""
        async with shop(self.plan.bootstrap, self.plan.topic) as made:
            try:
                yield made
            finally:
                self.sent.extend(made.sent)

    async def customers(self, shop: Shop, count: int, prefix: str) -> list[str]:
        """Customers of whom preference has been told by events."""
        names = [f"{prefix}-{number}" for number in range(count)]
        await shop.greet({name: customer(name) for name in names})
        return names


@contextmanager
def world(
    server: Postgres,
    bootstrap: str,
    directory: Path,
    roles: tuple[str, ...] = ROLES,
    tls: Tls | None = None,
    out_topics: Mapping[str, str] = NO_TOPICS,
) -> Iterator[Installation]:
    """An installation on these servers, with the documents of `seed.py` launched. `tls`: its services speak https.
    `out_topics`: settings of the topics that it publishes.
    """
    plan = Plan(bootstrap, databases(server), f"events-{next(_numbers)}", roles, tls, out_topics=out_topics)
    directory.mkdir(parents=True, exist_ok=True)
    with running(plan, directory) as cluster:
        seed(cluster.orchestrator)
        yield Installation(cluster, plan)


def triggers(sent: list[Sent]) -> set[tuple[str, str, str]]:
    """(customer, event id, campaign) for every event sent that triggers one."""
    return {(item.customer, item.id, CAMPAIGN_OF[item.type]) for item in sent if item.type in CAMPAIGN_OF}
