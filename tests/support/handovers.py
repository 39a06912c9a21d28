"""Handovers made by hand, and their results as their owners write them."""

from __future__ import annotations

from collections.abc import Sequence

from schemas.times import Instant
from services.kit.db.database import Database, Tx
from services.orchestrator.delivery import store
from services.orchestrator.delivery.attempts import AttemptResult
from services.orchestrator.delivery.results import record_late_results, record_results
from tests.support.orchestrator_app import NOON


async def claim(
    tx: Tx,
    *message_ids: str,
    channel: str = "sms",
    adapter: str = "sandbox",
    at: Instant = NOON,
    opened: Instant = NOON,
    address: str = "hash",
) -> int:
    """Claim messages together; returns the id of their handover. `address`: the hash of their address."""
    handover_id = await store.open_handover(tx, channel, adapter, "me", message_ids, at, opened)
    await store.write_claims(tx, [(message_id, address) for message_id in message_ids], handover_id, at)
    return handover_id


async def handover_of(tx: Tx, message_id: str) -> int:
    """The handover that a message was claimed for last."""
    row = await tx.row("SELECT handover_id FROM message WHERE message_id = :id", id=message_id)
    assert row is not None
    return int(row.handover_id)


async def report(database: Database, handover_id: int, results: Sequence[AttemptResult], now: Instant) -> None:
    """What the owner of a handover does with the provider's answers."""
    async with database.write() as tx:
        if await record_results(tx, handover_id, results, now):
            return
    async with database.write() as tx:
        await record_late_results(tx, results, now)
