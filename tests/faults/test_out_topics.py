"""Processes that publish our topics are killed and frozen, and the broker is: each topic says what the rows say."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator

import pytest

from tests.support import servers, topic_records
from tests.support.delivery_evidence import rows
from tests.support.event_load import under_load
from tests.support.installation import Installation, world
from tests.support.kafka_event_producer import Sent
from tests.support.service_processes import guest
from tests.support.topic_records import Published, differences, once_each, read_kafka

pytestmark = [pytest.mark.faults, pytest.mark.timeout(900), pytest.mark.filterwarnings("ignore::ResourceWarning")]

ROUNDS = int(os.environ.get("TRIALS", "1"))
CUSTOMERS = 40
GOING = 2.0
"""Seconds of load between two faults."""
FREEZE = 14.0
"""Seconds; longer than a publisher's claim of its topic."""
MESSAGES, OPT_OUTS = "faults.messages", "faults.optouts"
SETTINGS = {"TACTFUL_KAFKA__MESSAGES_TOPIC": MESSAGES, "TACTFUL_KAFKA__OPTOUTS_TOPIC": OPT_OUTS}


@pytest.fixture(scope="module")
def publishing(
    broker: servers.Kafka, database: servers.Postgres, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installation]:
    """An installation that publishes both topics: two processes of the orchestrator, each with every role."""
    directory = tmp_path_factory.mktemp("publishing")
    with world(database, broker.bootstrap, directory, ("all",), out_topics=SETTINGS) as made:
        second = guest(made.cluster, "all-2")
        second.start()
        second.wait_ready()
        yield made


async def opt_out(installed: Installation, stop: asyncio.Event) -> None:
    """Customers change their minds, by events, until stopped."""
    async with installed.shop() as shop:
        number = 0
        while not stop.is_set():
            chosen = [] if number % 3 == 0 else [{"topic": "news"}] if number % 3 == 1 else [{"class": "service"}]
            name = f"fickle-{number % 7}"
            await shop.send(Sent(f"choice-{number}", "tactful.preference.changed", name, {"opt_outs": chosen}))
            number += 1
            await asyncio.sleep(0.05)


async def published(installed: Installation, service: str, topic: str, schema: str) -> list[Published]:
    """What is in a topic, each event once, when nothing waits to be published."""
    async with asyncio.timeout(120):
        while await rows(installed.plan.databases[service], "SELECT 1 FROM outgoing LIMIT 1"):
            await asyncio.sleep(0.2)
    return once_each(await read_kafka(installed.plan.bootstrap, topic, schema))


async def assert_topics_are_what_the_rows_say(installed: Installation) -> None:
    records = await published(installed, "orchestrator", MESSAGES, "message-change")
    url = installed.plan.databases["orchestrator"]
    queries = (topic_records.DECISIONS, topic_records.ATTEMPTS, topic_records.MESSAGES, topic_records.RECEIPTS)
    found = [await rows(url, query) for query in queries]
    assert len(records) > 100
    assert differences(records, *found) == []
    await assert_opt_outs_are_what_the_rows_say(installed)


async def assert_opt_outs_are_what_the_rows_say(installed: Installation) -> None:
    """The last record of each customer is the present state, and versions only grow: also with repetitions."""
    await published(installed, "preference", OPT_OUTS, "opt-outs")
    records = await read_kafka(installed.plan.bootstrap, OPT_OUTS, "opt-outs")
    last: dict[str, int] = {}
    for record in once_each(records):
        assert record.event is not None
        assert record.event["data"]["version"] > last.get(record.key, 0)
        last[record.key] = record.event["data"]["version"]
    query = "SELECT customer, max(version) AS version FROM preference_change WHERE field = 'opt_outs' GROUP BY customer"
    changed = {row["customer"]: row["version"] for row in await rows(installed.plan.databases["preference"], query)}
    newest = {record.key: record.event["data"]["version"] for record in records if record.event is not None}
    assert newest == {customer: changed[customer] for customer in newest} and len(newest) >= 7
    assert {customer for customer in changed if customer.startswith("fickle")} <= newest.keys()


async def test_killed_publishers_leave_no_gap_and_no_disorder(publishing: Installation) -> None:
    cluster, stop = publishing.cluster, asyncio.Event()
    cluster.behave("fail_after_accept", every=10)
    choosing = asyncio.create_task(opt_out(publishing, stop))
    async with under_load(publishing, CUSTOMERS, "killed"):
        for name in ("all", "preference", "all-2", "all", "preference", "all-2") * ROUNDS:
            await asyncio.sleep(GOING)
            cluster[name].kill()
            cluster[name].start()
        for process in cluster.processes.values():
            await asyncio.to_thread(process.wait_ready)
        stop.set()
        await choosing
    cluster.behave()
    await assert_topics_are_what_the_rows_say(publishing)


async def test_a_publisher_that_wakes_up_late_writes_nothing_stale(publishing: Installation) -> None:
    cluster, stop = publishing.cluster, asyncio.Event()
    choosing = asyncio.create_task(opt_out(publishing, stop))
    async with under_load(publishing, CUSTOMERS, "zombie"):
        for name in ("all", "all-2"):
            cluster[name].freeze()
            await asyncio.sleep(FREEZE)
            cluster[name].thaw()
            await asyncio.sleep(GOING)
            if not cluster[name].alive:  # its own alarm has killed it between check and first byte
                cluster[name].start()
                await asyncio.to_thread(cluster[name].wait_ready)
        stop.set()
        await choosing
    await assert_topics_are_what_the_rows_say(publishing)


async def test_the_broker_crashes_while_topics_are_published(publishing: Installation, broker: servers.Kafka) -> None:
    stop = asyncio.Event()
    choosing = asyncio.create_task(opt_out(publishing, stop))
    async with under_load(publishing, CUSTOMERS, "crash"):
        for _ in range(ROUNDS):
            await asyncio.sleep(GOING)
            await asyncio.to_thread(broker.kill)
            await asyncio.sleep(GOING)
            await asyncio.to_thread(broker.start)
        await asyncio.sleep(GOING)
        stop.set()
        await choosing
    await assert_topics_are_what_the_rows_say(publishing)
