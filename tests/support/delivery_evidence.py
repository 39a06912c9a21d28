"""Checks what was sent, what the provider received and what the databases hold. It reads no log of the services.

Every check returns the violations that it found, as sentences; none is what we want.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import asyncpg
from aiokafka import AIOKafkaConsumer, TopicPartition

from services.orchestrator.policy.ledger import Ledger

TERMINAL = ("accepted", "rejected", "suppressed", "failed", "unknown")
TAKEN = ("accept", "fail_after_accept", "hang", "cut")
CONTACTS = {"planned": "planned", "handing_over": "made", "accepted": "made", "unknown": "unknown"}
"""The contact that a message in this state has; a parked one has none."""

Row = Mapping[str, Any]


class Receipt(NamedTuple):
    """A request as the provider saw it. `started`: nanoseconds of the machine's monotonic clock."""

    id: str
    started: int
    answer: str
    body: dict[str, Any]

    @property
    def customer(self) -> str:
        """Whom it is for."""
        return str(self.body["data"]["customer"])

    @property
    def campaign(self) -> str:
        """What it belongs to."""
        return str(self.body["data"]["campaign"])


def receipts(path: Path) -> list[Receipt]:
    """Everything the provider has received, in order; a line that was cut off by a kill is none."""
    lines = path.read_text().splitlines(keepends=True) if path.exists() else []
    return [Receipt(**json.loads(line)) for line in lines if line.endswith("\n")]


async def rows(url: str, sql: str, *parameters: object) -> list[Row]:
    """What a database says."""
    connection = await asyncpg.connect(url.replace("+asyncpg", ""), timeout=30)
    try:
        return list(await connection.fetch(sql, *parameters))
    finally:
        await connection.close()


async def ends(bootstrap: str, topic: str) -> dict[int, int]:
    """The end of the log of each partition."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap)
    await consumer.start()
    try:
        places = [TopicPartition(topic, number) for number in await _partitions(consumer, topic)]
        return {place.partition: end for place, end in (await consumer.end_offsets(places)).items()}
    finally:
        await consumer.stop()


async def _partitions(consumer: AIOKafkaConsumer, topic: str) -> Collection[int]:
    async with asyncio.timeout(30):
        while True:
            await consumer._client.force_metadata_update()
            await consumer.topics()
            if found := consumer.partitions_for_topic(topic):
                return list(found)
            await asyncio.sleep(0.2)


@dataclass(frozen=True)
class Evidence:
    """Where the truth lies after a run."""

    databases: Mapping[str, str]
    receipts: Path
    bootstrap: str
    topic: str

    async def query(self, sql: str, *parameters: object) -> list[Row]:
        """What the orchestrator's database says."""
        return await rows(self.databases["orchestrator"], sql, *parameters)

    # -- offsets -----------------------------------------------------------------------------------------------

    async def applied(self, service: str) -> dict[int, int]:
        """How far a service has applied the log: partition -> next offset."""
        sql = "SELECT partition, next_offset FROM partition_lease WHERE topic = $1"
        return {row["partition"]: row["next_offset"] for row in await rows(self.databases[service], sql, self.topic)}

    async def behind(self) -> list[str]:
        """I5: every service has applied the log to its end."""
        wanted = await ends(self.bootstrap, self.topic)
        found = {service: await self.applied(service) for service in self.databases}
        return [
            f"{service} has applied partition {partition} up to {places.get(partition, 0)} of {end}"
            for service, places in found.items()
            for partition, end in wanted.items()
            if places.get(partition, 0) != end
        ]

    # -- messages ----------------------------------------------------------------------------------------------

    async def unfinished(self) -> list[str]:
        """I3: messages that have not come to an end."""
        messages = await self.query(
            "SELECT message_id, state, detail FROM tracked_message WHERE state <> ALL($1)", TERMINAL
        )
        return [f"{row['message_id']} is {row['state']} ({row['detail']})" for row in messages]

    async def misdecided(self, expected: Iterable[tuple[str, str, str]]) -> list[str]:
        """I4, I8: exactly one message and one first decision for each (customer, event id, campaign), and no others.

        A decision line that follows a refusal at the gate, a deferral or a provider's no is not a first one.
        """
        found = await self.query(
            "SELECT customer, event_id, campaign, count(DISTINCT message_id) AS messages, count(*) AS lines, "
            "count(*) FILTER (WHERE outcome = 'defer' OR reason LIKE 'provider_%') AS later "
            "FROM decision GROUP BY 1, 2, 3"
        )
        refused = await self.query(
            "SELECT m.customer, m.event_id, m.campaign, count(*) AS times FROM attempt a "
            "JOIN tracked_message m USING (message_id) WHERE a.outcome = 'cancelled' GROUP BY 1, 2, 3"
        )
        again = {_key(row): row["times"] for row in refused}
        counts = {_key(row): (row["messages"], row["lines"] - row["later"] - again.get(_key(row), 0)) for row in found}
        wanted = set(expected)
        return [f"{key}: no decision" for key in wanted - counts.keys()] + [
            f"{key}: {messages} messages, {lines} decisions" + ("" if key in wanted else ", and nobody asked")
            for key, (messages, lines) in counts.items()
            if key not in wanted or messages != 1 or lines != 1
        ]

    async def misdelivered(self) -> list[str]:
        """I1, I7: every receipt has a message with a `send` decision, an attempt, and an end that admits it."""
        decided = await self.query("SELECT DISTINCT message_id FROM decision WHERE outcome = 'send'")
        states = await self.query("SELECT message_id, state, attempts FROM tracked_message")
        allowed = {row["message_id"] for row in decided}
        known = {row["message_id"]: row for row in states}
        found: list[str] = []
        for message_id, count in Counter(receipt.id for receipt in receipts(self.receipts)).items():
            message = known.get(message_id)
            if message is None or message_id not in allowed:
                found.append(f"{message_id} was received, but never decided to be sent")
            elif message["attempts"] < count:
                found.append(f"{message_id} was received {count} times in {message['attempts']} attempts")
        took = {receipt.id for receipt in receipts(self.receipts) if receipt.answer in TAKEN}
        for message_id, message in known.items():
            if message["state"] == "accepted" and message_id not in took:
                found.append(f"{message_id} counts as accepted, but nobody received it")
            if message["state"] in ("suppressed", "rejected", "failed") and message_id in took:
                found.append(f"{message_id} was received, but is {message['state']}")
        return found

    def repeats(self) -> dict[str, int]:
        """How often messages were received more than once, each time under the same webhook-id."""
        counts = Counter(receipt.id for receipt in receipts(self.receipts))
        return {message_id: count for message_id, count in counts.items() if count > 1}

    def repeated(self) -> list[Receipt]:
        """Every receipt of a message that was received more than once."""
        repeats = self.repeats()
        return [receipt for receipt in receipts(self.receipts) if receipt.id in repeats]

    async def false_ledgers(self) -> list[str]:
        """I25: every ledger holds exactly the contacts that the messages' states call for."""
        messages = await self.query("SELECT message_id, customer, state, maybe_sent FROM tracked_message")
        wanted: dict[str, dict[str, str]] = {}
        for row in messages:
            if state := _contact(row):
                wanted.setdefault(row["customer"], {})[row["message_id"]] = state
        held = {
            row["customer"]: {item.message_id: item.state for item in Ledger.unpack(row["ring"]) if not item.reported}
            for row in await self.query("SELECT customer, ring FROM ledger")
        }
        return [
            f"the ledger of {customer} holds {held.get(customer, {})}, its messages say {wanted.get(customer, {})}"
            for customer in sorted(wanted.keys() | held.keys())
            if held.get(customer, {}) != wanted.get(customer, {})
        ]

    def over_cap(self, campaign: str, limit: int) -> list[str]:
        """I24: customers who received more messages of a campaign than a window that spans the whole run allows."""
        got = {(receipt.customer, receipt.id) for receipt in receipts(self.receipts) if receipt.campaign == campaign}
        counts = Counter(customer for customer, _ in got)
        return [f"{customer} received {count} of {limit}" for customer, count in counts.items() if count > limit]

    # -- all of it ---------------------------------------------------------------------------------------------

    async def violations(self, expected: Iterable[tuple[str, str, str]]) -> list[str]:
        """Everything that is wrong after a run has come to rest."""
        return [
            *await self.behind(),
            *await self.unfinished(),
            *await self.misdecided(expected),
            *await self.misdelivered(),
            *await self.false_ledgers(),
        ]

    async def rest(self, timeout: float) -> None:
        """Return when nothing is to be done any more. TimeoutError says what is left after `timeout` seconds."""
        deadline = time.monotonic() + timeout
        while left := [*await self.behind(), *await self.unfinished()]:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{len(left)} left after {timeout} s: {left[:5]}")
            await asyncio.sleep(0.5)


def _key(row: Row) -> tuple[str, str, str]:
    return row["customer"], row["event_id"], row["campaign"]


def _contact(row: Row) -> str | None:
    if row["state"] == "retry" or row["state"] == "pending":
        return "unknown" if row["maybe_sent"] else "planned"
    return CONTACTS.get(row["state"])


class OffsetWatch:
    """I5: looks again and again whether an offset has gone back, while databases come and go."""

    def __init__(self, evidence: Evidence) -> None:
        self.violations: list[str] = []
        self._evidence = evidence
        self._seen: dict[tuple[str, int], int] = {}

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            for service in self._evidence.databases:
                try:
                    self._look(service, await self._evidence.applied(service))
                except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError):
                    continue
            await asyncio.sleep(0.3)

    def _look(self, service: str, places: Mapping[int, int]) -> None:
        for partition, offset in places.items():
            before = self._seen.get((service, partition), 0)
            if offset < before:
                self.violations.append(f"{service} went back from {before} to {offset} on partition {partition}")
            self._seen[service, partition] = offset
