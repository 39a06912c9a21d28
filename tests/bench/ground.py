"""The servers that both contenders stand on: one PostgreSQL, one Kafka broker, and records in its topics."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from services.kit.bus.kafka_bus import KafkaBus
from services.kit.bus.kafka_connection import KafkaConnection
from services.kit.bus.protocol import Outgoing
from tests.support import servers

CHUNK = 2_000
PARTITIONS = 12
CONFIGURATION = """
shared_buffers = 1GB
max_wal_size = 8GB
checkpoint_timeout = 30min
"""
"""fsync and synchronous_commit stay on."""


@dataclass
class Ground:
    """Running servers."""

    postgres: servers.Postgres
    kafka: servers.Kafka
    bus: KafkaBus

    @property
    def postmaster(self) -> int:
        """The process above all of PostgreSQL's."""
        return int((self.postgres.directory / "data/postmaster.pid").read_text().split()[0])

    @property
    def broker(self) -> int:
        """The broker's process."""
        assert self.kafka.process is not None
        return self.kafka.process.pid

    async def make_topic(self, topic: str) -> None:
        """A topic, ready to be written to."""
        await self.bus.ensure_topics({topic: PARTITIONS})

    async def shared(self, group: str, members: int) -> None:
        """Wait until so many consumers share the partitions: until then whoever came first has all of them."""
        admin = AIOKafkaAdminClient(bootstrap_servers=self.kafka.bootstrap)
        await admin.start()
        try:
            async with asyncio.timeout(120):
                while not await self._is_shared(admin, group, members):
                    await asyncio.sleep(0.5)
        finally:
            await admin.close()

    async def _is_shared(self, admin: AIOKafkaAdminClient, group: str, members: int) -> bool:
        try:
            _, _, state, _, _, found, *_ = (await admin.describe_consumer_groups([group]))[0].groups[0]
        except KafkaError as error:
            if not error.retriable:  # a young broker does not know at once who coordinates the group
                raise
            return False
        return bool(state == "Stable" and len(found) == members)

    async def publish(self, topic: str, records: Iterable[tuple[bytes, bytes]]) -> None:
        """Append records."""
        chunk: list[Outgoing] = []
        for key, value in records:
            chunk.append(Outgoing(topic, key, value, ()))
            if len(chunk) == CHUNK:
                await self.bus.publish(chunk)
                chunk = []
        await self.bus.publish(chunk)


@contextmanager
def ground(directory: Path) -> Iterator[Ground]:
    """PostgreSQL and Kafka, started with data of their own in a directory that any user may enter."""
    with (
        servers.postgres(directory / "postgres", settings=servers.SETTINGS) as postgres,
        servers.kafka(directory / "kafka") as kafka,
    ):
        postgres.stop()
        with (postgres.directory / "data/postgresql.conf").open("a") as file:
            file.write(CONFIGURATION)
        postgres.start()
        yield Ground(postgres, kafka, KafkaBus(KafkaConnection(kafka.bootstrap)))


async def fetch(url: str, sql: str) -> list[asyncpg.Record]:
    """Rows, from a connection of our own."""
    connection = await asyncpg.connect(url.replace("+asyncpg", ""))
    try:
        return list(await connection.fetch(sql))
    finally:
        await connection.close()


async def value(url: str, sql: str) -> int:
    """The one number that a query gives."""
    return int((await fetch(url, sql))[0][0] or 0)


async def settle() -> None:
    """Let the dust settle: what was started for the last step is done."""
    await asyncio.sleep(1.0)
