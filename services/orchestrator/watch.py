"""Looks now and then at how much waits, and tells the metrics."""

import asyncio

from services.kit.clock import Clock
from services.kit.db import Database
from services.kit.errors import Transient
from services.kit.logs import log
from services.orchestrator.metrics import Metrics

EVERY = 5.0


async def watch(stop: asyncio.Event, database: Database, clock: Clock, metrics: Metrics) -> None:
    """Look every few seconds until stopped."""
    while not stop.is_set():
        try:
            await look(database, clock, metrics)
        except Transient as error:
            log("watch_waits", level="warning", reason=error.code)
        try:
            async with asyncio.timeout(EVERY):
                await stop.wait()
        except TimeoutError:
            continue


async def look(database: Database, clock: Clock, metrics: Metrics) -> None:
    """Count what is deferred, what is queued, and find the oldest overdue message."""
    async with database.read() as tx:
        deferred = await tx.rows(
            "SELECT m.channel AS channel, count(*) AS messages FROM timer t "
            "JOIN message m ON m.message_id = t.message_id GROUP BY m.channel"
        )
        queued = await tx.rows("SELECT channel, count(*) AS messages FROM outbox GROUP BY channel")
        overdue = await tx.row("SELECT min(due) AS due FROM timer WHERE due < :now", now=clock.now())
    metrics.waiting(
        {row.channel: row.messages for row in deferred},
        {row.channel: row.messages for row in queued},
        None if overdue is None else overdue.due,
    )
