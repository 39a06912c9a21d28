"""Publishes receipts as events `tactful.message.*`, and makes the entries that suppression could not be asked for.

At least once: the event's id is that of the receipt, so whoever reads it twice takes it once.
"""

import asyncio
import time
from collections.abc import Collection, Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import Row

from schemas.times import format_instant
from services.kit.bus.protocol import Bus, Outgoing
from services.kit.db.database import Database
from services.kit.db.notifications import FALLBACK_INTERVAL
from services.kit.errors import Transient
from services.kit.observability.logs import log_error
from services.kit.runtime.periodic import wait_for_any
from services.orchestrator.delivery.receipts import store, undecided_store
from services.orchestrator.delivery.receipts.intake import ReceiptIntake
from services.orchestrator.delivery.receipts.reply_decisions import AT_ONCE
from services.orchestrator.delivery.receipts.store import OF_HANDOVER

BATCH: Final = 500
PATIENCE: Final = 2.0
"""Seconds that whoever has taken a receipt has for what follows from it, before the relay does that."""


class Leftovers:
    """What nobody has worked off for some seconds.

    Whoever takes a receipt, or decides about a reply, does at once what follows from it. Done by two at the same time,
    an entry could be made again after it was lifted.
    """

    def __init__(self, patience: float = PATIENCE) -> None:
        self._patience = patience
        self._since: dict[str, float] = {}

    def pick(self, keys: Collection[str]) -> set[str]:
        """Those of the keys, which are all that are open now, that were open `patience` seconds ago."""
        now = time.monotonic()
        self._since = {key: self._since.get(key, now) for key in keys}
        return {key for key, since in self._since.items() if now - since >= self._patience}


class ReceiptRelay:
    """Works off what receipts still lead to, the oldest first."""

    def __init__(self, database: Database, bus: Bus, topic: str, intake: ReceiptIntake) -> None:
        self._database = database
        self._bus = bus
        self._topic = topic
        self._intake = intake
        self._entries, self._decisions = Leftovers(), Leftovers()
        self._signal = database.notifications.listen(store.RECEIPTS_TAKEN)

    async def run_until_stopped(self, stopping: asyncio.Event) -> None:
        """Runs until `stopping` is set; looks every few seconds, and when receipts were taken."""
        while not stopping.is_set():
            signal, more = self._signal.next_event(), False
            try:
                more = await self.relay()
            except Transient as error:
                log_error("receipts_wait", error, "warning")
            if not more:
                await wait_for_any(FALLBACK_INTERVAL, stopping, signal)

    async def relay(self) -> bool:
        """One round; returns whether there may be more. Raises Transient.

        Events do not wait for entries: while suppression cannot be asked, they are published all the same.
        """
        async with self._database.read() as tx:
            unpublished, owed = await store.list_unpublished(tx, BATCH), await store.list_owed_entries(tx, BATCH)
            untold = await undecided_store.list_owed(tx, AT_ONCE)
        await self._publish(unpublished)
        left = self._entries.pick({row.receipt_key for row in owed})
        entries = [row for row in owed if row.receipt_key in left or row.receipt_key.startswith(OF_HANDOVER)]
        refused = await self._intake.suppress(entries)
        left = self._decisions.pick({f"{row.seq} {row.owes}" for row in untold})
        decided = await self._without_early([row for row in untold if f"{row.seq} {row.owes}" in left])
        await self._intake.reply_decisions.carry_out(decided)
        more_entries = len(entries) == BATCH and not refused
        return len(unpublished) == BATCH or more_entries or len(decided) == AT_ONCE

    async def _without_early(self, decided: Sequence[Row[Any]]) -> Sequence[Row[Any]]:
        """Those of these replies that can be carried out now: a hold is lifted once the STOP that replaces it is made.

        The STOP was kept in the transaction that has closed the reply, so it is owed still, or made.
        """
        if not any(row.owes == "lift" for row in decided):
            return decided
        async with self._database.read() as tx:
            owed = await store.list_owed_entries(tx, BATCH)
        addresses = {(row.channel, row.to_address) for row in owed}
        return [
            row
            for row in decided
            if row.owes != "lift" or (len(owed) < BATCH and (row.channel, row.address) not in addresses)
        ]

    async def _publish(self, rows: Sequence[Row[Any]]) -> None:
        if not rows:
            return
        await self._bus.publish([Outgoing(self._topic, row.customer.encode(), _event(row), ()) for row in rows])
        async with self._database.write() as tx:
            await store.mark_published(tx, [row.seq for row in rows])


def _event(row: Row[Any]) -> bytes:
    """The event of a receipt, in the structured form of CloudEvents. It holds no address; of a reply, what it says."""
    data = {
        "message_id": row.message_id,
        "campaign": row.campaign,
        "channel": row.channel,
        "class": row.cls,
        "topic": row.topic,
        "adapter": row.adapter,
        "permanent": bool(row.permanent),
        "by_machine": bool(row.by_machine),
        "detail": row.detail,
        "text": row.text,
    }
    return msgspec.json.encode({
        "specversion": "1.0",
        "id": row.receipt_key,
        "source": f"/tactful/receipts/{row.adapter}",
        "type": f"tactful.message.{row.kind}",
        "subject": row.customer,
        "time": format_instant(row.at),
        "data": {name: value for name, value in data.items() if value is not None},
    })  # fmt: skip
