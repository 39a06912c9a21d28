"""Upgrades an installation with a million decisions in place: `python -m tests.bench.upgrading [DECISIONS]`.

The databases are those of the version of 2026-11-29 (tests/upgrade) on PostgreSQL, with fsync, whose accepted messages
are copied until there are so many decisions, each with its event, message, content, contact and ledger. New events come
into the log, `tactful db upgrade` runs for each service, and the processes of today start and decide what has come.
Prints how long each step took, which together is how long nothing is sent, and raises AssertionError if a row is lost
or an event is not decided once.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from pathlib import Path

from tests.bench.ground import CONFIGURATION, Ground, fetch, ground, value
from tests.support.delivery_evidence import Evidence
from tests.support.kafka_event_producer import shop
from tests.upgrade import dumps, in_place

VERSION = "2026-11-29"
EVENTS, CUSTOMERS = 500, 50
"""What comes while everything is stopped."""
REST = 900.0
"""Seconds for the new processes to decide them."""

COPIED = "FROM message m, generate_series(1, {copies}) n WHERE m.state = 'accepted'"
"""What each statement below copies: so many times each accepted message, under names of its own."""
COPY = (
    "INSERT INTO decision (time, message_id, customer, campaign, channel, cls, outcome, reason, event_source, "
    "event_id, body) SELECT d.time + n, 'msg_' || md5(d.message_id || n), d.customer || '-' || n, d.campaign, "
    "d.channel, d.cls, d.outcome, d.reason, d.event_source, d.event_id || '-' || n, d.body FROM decision d JOIN "
    "message m USING (message_id), generate_series(1, {copies}) n WHERE (m.state, d.outcome) = ('accepted', 'send')",
    "INSERT INTO inbox SELECT i.customer || '-' || n, i.source, i.event_id || '-' || n, i.type, i.time, "
    "i.received + n, i.topic, i.partition, i.log_offset, i.event FROM inbox i, generate_series(1, {copies}) n "
    "WHERE EXISTS (SELECT 1 FROM message m WHERE m.state = 'accepted' AND (m.customer, m.event_source, m.event_id) = "
    "(i.customer, i.source, i.event_id))",
    "INSERT INTO contact_history (customer, message_id, state, at, since, channel, cls, intent, topic, campaign, "
    "priority, event, reported, recorded) SELECT h.customer || '-' || n, 'msg_' || md5(h.message_id || n), h.state, "
    "h.at, h.since, h.channel, h.cls, h.intent, h.topic, h.campaign, h.priority, h.event, h.reported, h.recorded FROM "
    "contact_history h JOIN message m USING (message_id), generate_series(1, {copies}) n WHERE m.state = 'accepted'",
    "INSERT INTO ledger SELECT l.customer || '-' || n, l.version, l.complete_from, l.ring FROM ledger l, "
    "generate_series(1, {copies}) n WHERE l.customer IN (SELECT customer FROM message WHERE state = 'accepted')",
    "INSERT INTO message_content SELECT 'msg_' || md5(c.message_id || n), c.content FROM message_content c JOIN "
    "message m USING (message_id), generate_series(1, {copies}) n WHERE m.state = 'accepted'",
)
MESSAGES = (  # the last one, because the others look at which messages there are
    "INSERT INTO message SELECT (jsonb_populate_record(m, jsonb_build_object('message_id', 'msg_' || md5(m.message_id "
    "|| n), 'customer', m.customer || '-' || n, 'event_id', m.event_id || '-' || n))).* " + COPIED
)
BEFORE = {
    "decisions": "SELECT count(*), sum(hashtextextended(decision_id || message_id || customer || campaign || outcome "
    "|| reason || event_id || encode(sha256(body), 'hex'), 0)::numeric) FROM decision WHERE decision_id <= {last}",
    "messages": "SELECT count(*), sum(hashtextextended(message_id || customer || campaign || event_id || state, 0)"
    "::numeric) FROM {messages} WHERE state = 'accepted'",
    "contents": "SELECT count(*), sum(hashtextextended(message_id || encode(sha256(content), 'hex'), 0)::numeric) FROM "
    "{contents} WHERE content IS NOT NULL",
    "events": "SELECT count(*), sum(hashtextextended(customer || source || event_id || encode(sha256(event), 'hex'), 0)"
    "::numeric) FROM inbox",
    "contacts": "SELECT count(*), sum(hashtextextended(seq || customer || message_id || state || at, 0)::numeric) FROM "
    "contact_history",
    "ledgers": "SELECT count(*), sum(hashtextextended(customer || version || encode(sha256(ring), 'hex'), 0)::numeric) "
    "FROM ledger",
}
"""Number and sum of hashes of all rows: equal before and after."""


async def grow(url: str, decisions: int) -> None:
    """Copies what a version left until there are so many decisions."""
    sends = (
        "SELECT count(*) FROM decision JOIN message USING (message_id) WHERE state = 'accepted' AND outcome = 'send'"
    )
    copies = -(-decisions // await value(url, sends))
    for statement in (*COPY, MESSAGES):
        await fetch(url, statement.format(copies=copies))
    await fetch(url, "ANALYZE")


async def fingerprints(url: str, last: int, *, upgraded: bool) -> dict[str, tuple[int, int]]:
    """What `BEFORE` asks, of tables of then or of today."""
    names = {"messages": "tracked_message" if upgraded else "message"}
    names["contents"] = "message" if upgraded else "message_content"
    found = {}
    for what, sql in BEFORE.items():
        count, total = (await fetch(url, sql.format(last=last, **names)))[0]
        found[what] = (int(count), int(total))
    return found


async def measure(base: Ground, directory: Path, decisions: int) -> None:
    """Grows, upgrades, starts and checks; prints each step."""
    urls = {service: base.postgres.database() for service in dumps.SERVICES}
    for service, url in urls.items():
        dumps.load(url, VERSION, service)
    orchestrator = urls["orchestrator"]
    await grow(orchestrator, decisions)
    last = await value(orchestrator, "SELECT max(decision_id) FROM decision")
    before = await fingerprints(orchestrator, last, upgraded=False)
    print({what: f"{count:,}" for what, (count, _) in before.items()}, await size(orchestrator), flush=True)
    cluster = in_place.processes(base.kafka.bootstrap, urls, directory)
    evidence = Evidence(urls, cluster.receipts, cluster.plan.bootstrap, cluster.plan.topic)
    await in_place.make_topic(cluster.plan.bootstrap, cluster.plan.topic)
    async with shop(cluster.plan.bootstrap, cluster.plan.topic) as producer:
        people = [f"{in_place.PREFIX}{number}" for number in range(CUSTOMERS)]
        await producer.greet({name: in_place.person(name) for name in people})
        await producer.send(*(in_place.new_event(number, CUSTOMERS) for number in range(EVENTS)))
    stopped = time.monotonic()
    for service, url in urls.items():
        print(
            f"tactful db upgrade --service {service}: {await asyncio.to_thread(in_place.upgrade, service, url):.1f} s"
        )
    assert await fingerprints(orchestrator, last, upgraded=True) == before
    print(f"every row is there; {await size(orchestrator)}", flush=True)
    started = time.monotonic()
    try:
        await asyncio.to_thread(cluster.start)
        print(f"all processes ready after {time.monotonic() - started:.1f} s")
        await until_decided(evidence)
        print(f"{EVENTS} events decided {time.monotonic() - started:.1f} s after the start, each once")
        print(f"stop, checks included: {time.monotonic() - stopped:.0f} s; load average {os.getloadavg()[0]:.1f}")
    finally:
        cluster.stop()


async def size(url: str) -> str:
    """How large a database is."""
    return f"{await value(url, 'SELECT pg_database_size(current_database())') / 2**30:.2f} GiB"


async def until_decided(evidence: Evidence) -> None:
    """Returns when each new event has its one decision."""
    counts = (
        f"SELECT count(*) AS times FROM decision WHERE customer ~ '^{in_place.PREFIX}[0-9]' GROUP BY customer, event_id"
    )
    deadline = time.monotonic() + REST
    while len(found := [row["times"] for row in await evidence.query(counts)]) < EVENTS:
        assert time.monotonic() < deadline, f"{len(found)} of {EVENTS} events are decided"
        await asyncio.sleep(0.5)
    assert found == [1] * EVENTS, "an event is decided more than once"


def main(decisions: int) -> None:
    """Starts the servers, and measures."""
    with tempfile.TemporaryDirectory(prefix="upgrading-") as folder:
        directory = Path(folder)
        directory.chmod(0o755)
        print(f"PostgreSQL with fsync and {', '.join(CONFIGURATION.split(chr(10))[1:3])}")
        with ground(directory) as base:
            asyncio.run(measure(base, directory, decisions))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
