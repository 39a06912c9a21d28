"""The reference as a contender: its database filled with the same customers, one process for each core."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
from sqlalchemy.ext.asyncio import create_async_engine

from schemas.times import to_datetime
from tests.bench import load
from tests.bench.contender import now
from tests.bench.ground import Ground, fetch, value
from tests.bench.reference import GROUP, Base
from tests.support.servers import ROOT

CHUNK = 20_000


@dataclass
class Rival:
    """The processes and their database."""

    name: str
    topic: str
    database: str
    past: int
    processes: list[subprocess.Popen[bytes]]
    groups: dict[str, int] = field(default_factory=dict)
    readers: int = 1
    group: str = GROUP

    @property
    def deciders(self) -> int:
        """One a core."""
        return len(self.processes)

    async def handed_over(self, wanted: int = 0) -> int:
        """See Contender. RuntimeError when a process has ended."""
        if any(process.poll() is not None for process in self.processes):
            raise RuntimeError("a process of the reference has ended: see its log")
        return await value(self.database, "SELECT count(*) FROM processed")

    async def finished(self) -> float:
        """See Contender."""
        return await value(self.database, "SELECT extract(epoch FROM max(at)) * 1000000 FROM sent") / 1e6

    async def latencies(self, after: int) -> list[float]:
        """See Contender."""
        since = to_datetime(after).isoformat()
        sql = f"SELECT extract(epoch FROM at - event_time) * 1000 AS spent FROM sent WHERE event_time >= '{since}'"
        return [float(row["spent"]) for row in await fetch(self.database, sql)]

    async def read_up_to(self) -> int:
        """See Contender. Nothing tells."""
        raise NotImplementedError

    async def bytes(self) -> int:
        """See Contender."""
        return await value(self.database, "SELECT pg_database_size(current_database())")

    async def analyse(self) -> None:
        """See Contender."""
        await fetch(self.database, "ANALYZE")

    def pids(self) -> list[int]:
        """See Contender."""
        return [process.pid for process in self.processes]


@asynccontextmanager
async def rival(ground: Ground, directory: Path, customers: int, *, sink: int | None = None) -> AsyncIterator[Rival]:
    """Database made and filled, one process a core."""
    topic = "bench.reference" if sink is None else "bench.reference.http"
    await ground.make_topic(topic)
    database = ground.postgres.database()
    await _fill(database, customers)
    environment = {
        "REFERENCE_DATABASE": database,
        "REFERENCE_KAFKA": ground.kafka.bootstrap,
        "REFERENCE_TOPIC": topic,
        **({} if sink is None else {"REFERENCE_URL": f"http://127.0.0.1:{sink}/messages"}),
    }
    command = [sys.executable, "-m", "tests.bench.reference"]
    with (directory / f"{topic}.log").open("ab") as log:
        processes = [
            subprocess.Popen(command, cwd=ROOT, env={**os.environ, **environment}, stdout=log, stderr=log)
            for _ in range(os.cpu_count() or 1)
        ]
    contender = Rival("Reference", topic, database, customers * load.PAST_CONTACTS, processes)
    workers = {f"reference {place + 1}": process.pid for place, process in enumerate(processes)}
    contender.groups = {**workers, "PostgreSQL": ground.postmaster, "Kafka": ground.broker}
    try:
        yield contender
    finally:
        for process in processes:
            process.kill()
            process.wait()


async def _fill(database: str, customers: int) -> None:
    engine = create_async_engine(database)
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    await engine.dispose()
    connection = await asyncpg.connect(database.replace("+asyncpg", ""))
    try:
        for first in range(0, customers, CHUNK):
            await _fill_some(connection, range(first, min(first + CHUNK, customers)))
        await connection.execute("ANALYZE")
    finally:
        await connection.close()


async def _fill_some(connection: asyncpg.Connection, numbers: range) -> None:
    at, today = now(), datetime.now(UTC)
    people: list[tuple[Any, ...]] = []
    sent: list[tuple[Any, ...]] = []
    for number in numbers:
        known = load.preference(number, at).preference
        device = known.addresses[0].address
        people.append((known.customer, known.zone, device, bytes(known.traits).decode(), True, False))
        for place in range(load.PAST_CONTACTS):
            when = today - timedelta(days=6 - place / 2)
            sent.append((known.customer, f"past-{place}", "bench-past", "", "", "accepted", when, when))
    await connection.copy_records_to_table(
        "customer", records=people, columns=["id", "zone", "device", "traits", "consent", "suppressed"]
    )
    names = ["customer_id", "event_id", "campaign", "title", "body", "outcome", "event_time", "at"]
    await connection.copy_records_to_table("sent", records=sent, columns=names)
