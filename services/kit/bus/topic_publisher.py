"""Publishes what transactions have left for a topic (`outgoing.py`): in order, and never again after something newer.

One process publishes at a time. It claims the topic in the database, starts its publisher in the log, which fences off
every earlier one, and only then claims again and reads. Whoever lost the topic between the two finds out by the second
claim; whoever is frozen later is refused by the log. So no stale record comes after a newer one, which in a compacted
topic would stand there for good.

At least once: what was published and not yet deleted when the process was killed is published again, with the same ids
and in the same order.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from typing import Final

from schemas.times import SECOND
from services.kit.bus.outgoing import (
    OUTGOING_KEPT,
    claim_topic,
    delete_outgoing,
    list_outgoing,
    release_topic,
)
from services.kit.bus.protocol import Bus, Outgoing, Publisher
from services.kit.db.database import Database
from services.kit.errors import Transient
from services.kit.observability.logs import log_error
from services.kit.observability.metrics import Registry, counter, gauge
from services.kit.runtime.periodic import wait_for_any

POLL_INTERVAL: Final = 0.25
"""Seconds between two looks. More rows are then published together, which costs less than publishing each at once."""
BATCH: Final = 40
"""Rows that are published together; each may hold some hundred records."""

RenderBody = Callable[[bytes], Sequence[Outgoing]]
"""The records of one row, in order. The topic of each is the topic of the publisher."""


class TopicMetrics:
    """`records`: published, by topic. `oldest`: since when something waits, in seconds since 1970; 0: nothing does.

    `topics`: the names that the topics are created with by default, whatever the settings call them.
    """

    def __init__(self, registry: Registry, topics: Sequence[str]) -> None:
        self.records = counter(
            registry, "out_topic_records_total", "Records published to the topics of Tactful", {"topic": topics}
        )
        self.oldest = gauge(
            registry,
            "out_topic_oldest_timestamp_seconds",
            "When the oldest change was made that is not in its topic yet, 0 if none",
            {"topic": topics},
        )


class TopicPublisher:
    """Publishes to one topic. `label`: what metrics call it; `owner` is unique to this process."""

    def __init__(
        self,
        database: Database,
        bus: Bus,
        topic: str,
        owner: str,
        render: RenderBody,
        metrics: TopicMetrics,
        *,
        label: str,
    ) -> None:
        self._database = database
        self._bus = bus
        self._topic = topic
        self._owner = owner
        self._render = render
        self._metrics = metrics
        self._label = label
        self._signal = database.notifications.listen(OUTGOING_KEPT)
        self._publisher: Publisher | None = None

    async def run_until_stopped(self, stopping: asyncio.Event) -> None:
        """Runs until `stopping` is set; looks every POLL_INTERVAL, and on SQLite when something was left; after
        an error when it says so.
        """
        try:
            while not stopping.is_set():
                signal = self._signal.next_event()
                try:
                    more = await self.publish_next()
                except Transient as error:
                    log_error("topic_waits", error, "warning", topic=self._topic)
                    await wait_for_any(error.retry_after, stopping)
                    continue
                if not more:
                    await wait_for_any(POLL_INTERVAL, stopping, signal)
        finally:
            await self._close()
            with contextlib.suppress(Transient):
                await release_topic(self._database, self._topic, self._owner)

    async def publish_next(self) -> bool:
        """One round; returns whether there may be more. Raises Transient."""
        async with self._database.read() as tx:
            if not await list_outgoing(tx, self._topic, 1):
                return False
        if not await claim_topic(self._database, self._topic, self._owner):
            await self._close()
            return False
        if self._publisher is None:
            publisher = self._bus.publisher(self._topic)
            await publisher.start()
            self._publisher = publisher
            # Its start has ended every other publisher. Somebody may have claimed the topic meanwhile: it is theirs.
            if not await claim_topic(self._database, self._topic, self._owner):
                await self._close()
                return False
        # Read only now: nobody else has published since this publisher was started, or it would be refused.
        async with self._database.read() as tx:
            rows = await list_outgoing(tx, self._topic, BATCH)
        records = [record for row in rows for record in self._render(row.body)]
        try:
            await self._publisher.publish(records)
        except Transient:
            await self._close()
            raise
        async with self._database.write() as tx:
            await delete_outgoing(tx, [row.seq for row in rows])
        self._metrics.records(self._label).inc(len(records))
        return len(rows) == BATCH

    async def update_gauge(self) -> None:
        """Sets since when something waits. For a periodic check, in every process."""
        async with self._database.read() as tx:
            rows = await list_outgoing(tx, self._topic, 1)
        self._metrics.oldest(self._label).set(rows[0].recorded / SECOND if rows else 0)

    async def _close(self) -> None:
        publisher, self._publisher = self._publisher, None
        if publisher is not None:
            await publisher.close()
