"""An installation is upgraded while events flow in: its processes stop, the schemas are upgraded, the new ones go on.

The databases are those that an earlier version left when it was killed (tests/upgrade), on PostgreSQL. What it had
decided comes once more from the log, and new events come before, during and after the upgrade: each is decided exactly
once. `python -m tests.bench.upgrading` measures how long the stop lasts with a million decisions.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.support import servers
from tests.support.delivery_evidence import Evidence, receipts
from tests.support.kafka_event_producer import Record, Sent, Shop, shop
from tests.support.service_processes import Cluster
from tests.upgrade import dumps, in_place

pytestmark = [pytest.mark.faults, pytest.mark.timeout(900), pytest.mark.filterwarnings("ignore::ResourceWarning")]

CUSTOMERS = 20
EVERY = 0.05
"""Seconds between two events."""
GOING = 2.0
"""Seconds of events before the upgrade, and after it."""
REST = 300.0
"""Seconds after the last event for everything to come to an end."""


@pytest.fixture(params=dumps.VERSIONS)
def databases(request: pytest.FixtureRequest, database: servers.Postgres) -> dict[str, str]:
    """What a version left in the databases of the three services."""
    urls = {service: database.database() for service in dumps.SERVICES}
    for service, url in urls.items():
        dumps.load(url, request.param, service)
    return urls


@pytest.fixture
def cluster(broker: servers.Kafka, databases: dict[str, str], tmp_path: Path) -> Cluster:
    """The processes of today on these databases, none of them started."""
    return in_place.processes(broker.bootstrap, databases, tmp_path)


async def stream(shop: Shop, stop: asyncio.Event) -> None:
    """Sends events of new customers until stopped; every seventh is sent twice."""
    for number in itertools.count():
        if stop.is_set():
            return
        event = in_place.new_event(number, CUSTOMERS)
        await shop.send(*([event, event] if number % 7 == 0 else [event]))
        await asyncio.sleep(EVERY)


async def decided_before(evidence: Evidence) -> Sequence[Record]:
    """The events that the earlier version has decided about, as the log had them."""
    found = await evidence.query(
        "SELECT i.customer, i.event FROM inbox i WHERE EXISTS (SELECT 1 FROM decision d WHERE "
        "(d.customer, d.event_source, d.event_id) = (i.customer, i.source, i.event_id)) ORDER BY i.customer, i.event_id"
    )
    return [Record(row["customer"].encode(), row["event"]) for row in found]


async def decisions(evidence: Evidence, *, new: bool) -> list[dict[str, object]]:
    """The decisions about the customers of this test, or about all others, as they are stored."""
    sql = "SELECT decision_id, customer, event_id, campaign, channel, message_id, outcome, reason, body FROM decision "
    found = await evidence.query(sql + f"WHERE (customer LIKE '{in_place.PREFIX}%') = {new} ORDER BY decision_id")
    return [dict(row) for row in found]


async def rest(evidence: Evidence) -> None:
    """Returns when the log is applied to its end, and no message of the new customers waits."""
    deadline = time.monotonic() + REST
    while True:
        waiting = [line for line in await evidence.unfinished() if line.split()[0] in await new_messages(evidence)]
        if not (left := [*await evidence.behind(), *waiting]):
            return
        assert time.monotonic() < deadline, left[:5]
        await asyncio.sleep(0.5)


async def new_messages(evidence: Evidence) -> set[str]:
    """The messages to the customers of this test."""
    found = await evidence.query(f"SELECT message_id FROM tracked_message WHERE customer LIKE '{in_place.PREFIX}%'")
    return {row["message_id"] for row in found}


async def test_events_that_flow_in_during_an_upgrade_are_decided_exactly_once(
    cluster: Cluster, databases: dict[str, str]
) -> None:
    plan = cluster.plan
    evidence = Evidence(databases, cluster.receipts, plan.bootstrap, plan.topic)
    before = await decisions(evidence, new=False)
    stop = asyncio.Event()
    await in_place.make_topic(plan.bootstrap, plan.topic)
    try:
        async with shop(plan.bootstrap, plan.topic) as producer:
            await producer.raw(repeated := await decided_before(evidence))
            names = [f"{in_place.PREFIX}{number}" for number in range(CUSTOMERS)]
            await producer.greet({name: in_place.person(name) for name in names})
            sending = asyncio.create_task(stream(producer, stop))
            await asyncio.sleep(GOING)
            await asyncio.to_thread(assert_refuses_the_schema, cluster)
            assert await decisions(evidence, new=True) == []
            for service, url in databases.items():
                await asyncio.to_thread(in_place.upgrade, service, url)
            await asyncio.to_thread(cluster.start)
            await asyncio.sleep(GOING)
            stop.set()
            await sending
            await rest(evidence)
        assert len(repeated) > 10
        await assert_each_is_decided_once(evidence, producer.sent)
        await assert_nothing_is_lost_or_decided_again(evidence, before)
    finally:
        cluster.stop()


def assert_refuses_the_schema(cluster: Cluster) -> None:
    """A process of today does not work on the tables of an earlier version."""
    for name in ("decide", "preference", "suppression"):
        process = cluster[name]
        process.start()
        assert process.wait(60.0) == 1
        assert "schema" in process.log.read_text(), name


async def assert_each_is_decided_once(evidence: Evidence, sent: Sequence[Sent]) -> None:
    """One decision and one message for each new event, which the provider got."""
    wanted = {(item.customer, item.id, campaign) for item in sent if (campaign := in_place.CAMPAIGN_OF.get(item.type))}
    found = await decisions(evidence, new=True)
    counts = Counter((row["customer"], row["event_id"], row["campaign"]) for row in found)
    assert set(counts) ^ wanted == set()
    assert {each: count for each, count in counts.items() if count != 1} == {}
    assert {row["outcome"] for row in found} == {"send"}
    received = Counter(receipt.id for receipt in receipts(evidence.receipts))
    counted = {str(row["message_id"]): received[str(row["message_id"])] for row in found}
    assert {name: count for name, count in counted.items() if count != 1} == {}


async def assert_nothing_is_lost_or_decided_again(evidence: Evidence, before: Sequence[dict[str, object]]) -> None:
    """Every decision of the earlier version is as it was. Later ones are about messages that waited, not new ones."""
    after = await decisions(evidence, new=False)
    assert after[: len(before)] == before
    assert {row["message_id"] for row in after} == {row["message_id"] for row in before}
