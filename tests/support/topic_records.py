"""Reads what Tactful has published to a topic, as a consumer who takes each event once."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jsonschema_rs
from aiokafka import AIOKafkaConsumer

from schemas import generate
from services.kit.bus.local_bus import LocalBus
from services.kit.bus.protocol import Partition

_VALIDATORS = {
    name: jsonschema_rs.validator_for(generate.generate_schema(name), validate_formats=True)
    for name in ("message-change", "opt-outs")
}


@dataclass(frozen=True)
class Published:
    """A record: its partition, its key, and its event; None in place of the event where it has no value."""

    partition: int
    key: str
    event: dict[str, Any] | None

    @property
    def step(self) -> tuple[str, str]:
        """Message id and what became of it."""
        assert self.event is not None
        return self.event["data"]["message_id"], self.event["type"].removeprefix("tactful.message.")


def _published(partition: int, key: bytes | None, value: bytes | None, schema: str) -> Published:
    event = None if value is None else json.loads(value)
    if event is not None:
        _VALIDATORS[schema].validate(event)
        assert event["subject"] == (key or b"").decode()
    return Published(partition, (key or b"").decode(), event)


async def read_local(bus: LocalBus, topic: str, schema: str) -> list[Published]:
    """All records of a topic of the embedded log; each is checked against its schema."""
    ends = await bus.end_offsets(topic)
    found = await bus.run_on_reader(lambda store: store.read_records([(each, 0) for each in ends], 100_000))
    return [
        _published(record.partition, record.key, record.value, schema)
        for partition in sorted(found, key=lambda each: Partition(*each))
        for record in found[partition]
    ]


async def read_kafka(bootstrap: str, topic: str, schema: str, isolation: str = "read_committed") -> list[Published]:
    """All records that a topic has now, in order for each partition; each is checked against its schema."""
    consumer = AIOKafkaConsumer(
        topic, bootstrap_servers=bootstrap, isolation_level=isolation, auto_offset_reset="earliest"
    )
    await consumer.start()
    try:
        partitions = sorted(consumer.assignment())
        assert partitions
        ends = await consumer.end_offsets(partitions)
        found: list[Published] = []
        async with asyncio.timeout(60):
            while any([await consumer.position(each) < ends[each] for each in partitions]):
                for records in (await consumer.getmany(timeout_ms=200)).values():
                    found += [_published(each.partition, each.key, each.value, schema) for each in records]
        return found
    finally:
        await consumer.stop()


def once_each(records: Sequence[Published]) -> list[Published]:
    """The records without those whose id has come before: what a careful consumer takes. Those without a value stay."""
    seen: set[str] = set()
    kept = []
    for record in records:
        if record.event is not None:
            if record.event["id"] in seen:
                continue
            seen.add(record.event["id"])
        kept.append(record)
    return kept


DECISIONS = "SELECT message_id, outcome, reason FROM decision"
ATTEMPTS = "SELECT message_id, outcome FROM attempt WHERE outcome <> 'cancelled'"
MESSAGES = "SELECT message_id, state, attempts FROM tracked_message"
RECEIPTS = "SELECT message_id, kind FROM receipt WHERE message_id <> ''"
_ENDS = ("accepted", "rejected", "unknown", "failed", "suppressed")
_OUTCOMES = {"send": "decided", "defer": "deferred", "suppress": "suppressed", "fail": "failed"}


def differences(
    records: Sequence[Published],
    decisions: Sequence[Any],
    attempts: Sequence[Any],
    messages: Sequence[Any],
    receipts: Sequence[Any],
) -> list[str]:
    """What the topic, each event taken once, says otherwise than the rows of these four queries; none is what we want.

    Of each message: each decision, each claim, each end of an attempt and each receipt once; the last word is its
    state. In the order of one customer: what is said of an attempt comes after its claim, which comes after a decision.
    """
    expected: Counter[tuple[str, str]] = Counter()
    for row in decisions:
        if not row["reason"].startswith("provider_"):  # which repeat what the attempt's end says
            expected[row["message_id"], _OUTCOMES[row["outcome"]]] += 1
    for row in messages:
        expected[row["message_id"], "handing_over"] += row["attempts"]
        expected[row["message_id"], "accepted"] += int(row["state"] == "accepted")
    expected.update((row["message_id"], row["kind"]) for row in receipts)
    ends = Counter(row["message_id"] for row in attempts)
    found: Counter[tuple[str, str]] = Counter()
    found_ends: Counter[str] = Counter()
    last: dict[str, str] = {}
    claimed: Counter[str] = Counter()
    faults: list[str] = []
    for record in records:
        message, step = record.step
        assert record.event is not None
        data = record.event["data"]
        if step == "handing_over":
            claimed[message] += 1
            if claimed[message] != data["attempt"] or last.get(message) is None:
                faults.append(f"{message}: claim {data['attempt']} comes after {last.get(message)}")
        of_attempt = step in ("rejected", "retry", "unknown") or (step == "failed" and "attempt" in data)
        if of_attempt:
            found_ends[message] += 1
            if claimed[message] < data["attempt"]:
                faults.append(f"{message}: the end of attempt {data['attempt']} comes before its claim")
        else:
            found[message, step] += 1
        if "attempt" in data or step in _OUTCOMES.values():
            last[message] = step
    faults += [f"missing: {each}" for each in (expected - found).elements()]
    faults += [f"surplus: {each}" for each in (found - expected).elements()]
    faults += [
        f"ends of {each}: {found_ends[each]}, not {ends[each]}"
        for each in ends | found_ends
        if ends[each] != found_ends[each]
    ]
    states = {row["message_id"]: row["state"] for row in messages}
    for message, step in last.items():
        if states.get(message, step) in _ENDS and states.get(message, step) != step:
            faults.append(f"{message} is {states[message]}, and its last word is {step}")
    return faults
