"""Assigns messages of the outbox to the adapters of their channel, where it has several.

Each dispatcher assigns what is in its own shards, by the health of adapters that it has seen itself. What waits for an
adapter that cannot serve goes to another one, if another one can serve; nothing has been tried for it meanwhile.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Row

from services.kit.db.database import Database, Tx
from services.orchestrator.delivery import store
from services.orchestrator.delivery.delivery import Delivery
from services.orchestrator.delivery.routing import OutboxLine
from services.orchestrator.delivery.store import CLAIM_BATCH_SIZE


class OutboxRouter:
    """The router of one dispatcher, which is the `owner` of its shards."""

    def __init__(self, database: Database, owner: str, delivery: Delivery) -> None:
        self._database = database
        self._owner = owner
        self._delivery = delivery

    async def forget_other_adapters(self, shards: Sequence[int]) -> None:
        """Take back what waits for adapters that do not serve their channel any more, as the settings have changed."""
        async with self._database.write() as tx:
            for channel, routes in self._delivery.adapters.routes.items():
                known = [route.adapter for route in routes] if len(routes) > 1 else []
                await store.forget_other_adapters(tx, channel, known, shards)

    async def assign_batch(self, channel: str, epochs: Mapping[int, int]) -> int:
        """Assign the next messages that have no adapter yet; returns how many there were."""
        async with self._database.read() as tx:
            if not await store.next_outbox_rows(tx, channel, None, sorted(epochs), limit=1):
                return 0
        async with self._database.write() as tx:
            shards = await store.lock_owned_shards(tx, self._owner, epochs)
            rows = await store.next_outbox_rows(tx, channel, None, sorted(shards))
            await store.assign_outbox_rows(tx, await self._choose(tx, channel, rows))
            return len(rows)

    async def move_elsewhere(self, line: OutboxLine, epochs: Mapping[int, int]) -> int:
        """Assign what waits for an adapter that cannot serve to those that can; returns how many were moved."""
        if not line.is_assigned:
            return 0
        moved, after = 0, 0
        while not self._delivery.health[line.adapter].is_usable:
            async with self._database.write() as tx:
                shards = await store.lock_owned_shards(tx, self._owner, epochs)
                rows = await store.next_outbox_rows(tx, line.channel, line.adapter, sorted(shards), after=after)
                chosen = await self._choose(tx, line.channel, rows)
                elsewhere = {seq: adapter for seq, adapter in chosen.items() if adapter != line.adapter}
                await store.assign_outbox_rows(tx, elsewhere)
            moved += len(elsewhere)
            if len(rows) < CLAIM_BATCH_SIZE:
                break
            after = rows[-1].seq
        return moved

    async def _choose(self, tx: Tx, channel: str, rows: Sequence[Row[Any]]) -> dict[int, str]:
        """The adapter for each row. A message that an earlier attempt may have delivered stays with its adapter, which
        alone recognises it; one that is no longer ready goes wherever, to be deleted there.
        """
        serving = [route.adapter for route in self._delivery.adapters.routes[channel]]
        pending = await store.load_pending_messages(tx, [row.message_id for row in rows])
        chosen: dict[int, str] = {}
        for row in rows:
            stored = pending.get(row.message_id)
            if stored is None:
                chosen[row.seq] = serving[0]
            elif stored.maybe_sent and stored.last_adapter in serving:
                chosen[row.seq] = stored.last_adapter
            else:
                chosen[row.seq] = self._delivery.choose_adapter(stored.message).adapter
        return chosen
