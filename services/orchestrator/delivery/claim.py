"""The mark: before any byte leaves, message and attempt become `handing_over` and the contact is made, in one go.

Fresh facts are read only after this has been committed. So an opt-out that was committed before sees the attempt and
waits for it, and one that is committed later is seen by the facts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import Row

from schemas.ids import address_hash
from schemas.times import Instant
from services.kit.db.database import Tx
from services.orchestrator.decisions import store
from services.orchestrator.delivery import shard_lease
from services.orchestrator.delivery.attempts import MAYBE_SENT
from services.orchestrator.policy.customer_facts import Facts
from services.orchestrator.policy.ledger import Ledger
from services.orchestrator.policy.match import Touch

BATCH = 500

_COLUMNS = (
    *("message_id", "customer", "campaign", "version", "channel", "cls", "event_source", "event_id"),
    *("since", "attempts", "to_address", "detail", "updated"),
)
_MARK = {"message_id": "text", "address_hash": "text"}


class Marked(msgspec.Struct, frozen=True):
    """A message that is being handed over, and its customer's ledger as it was at the mark."""

    message_id: str
    customer: str
    campaign: str
    version: int
    channel: str
    cls: str
    event_source: str
    event_id: str
    since: Instant | None
    ready: Instant
    """When it became ready to be handed over."""
    number: int
    to: str
    content: dict[str, str]
    marked_at: Instant
    ledger: Ledger
    maybe_sent: bool = False
    """An earlier attempt may have arrived."""
    touch: Touch | None = None
    """What was judged, where the same process has just done so."""
    facts: Facts | None = None
    """On what it was judged, likewise."""
    alone: bool = False
    """Nothing else was judged with it: then all contacts of its customer are as they were when it was allowed."""


@dataclass(frozen=True, slots=True)
class Marker:
    """Marks for one dispatcher. `key` is the key under which addresses are hashed."""

    owner: str
    key: bytes

    async def mark(
        self, tx: Tx, channel: str, epochs: Mapping[int, int], now: Instant, opened: Instant
    ) -> list[Marked]:
        """Mark the next messages of our shards on a channel, in order of the outbox."""
        rows = await self._next(tx, channel, await shard_lease.still_ours(tx, self.owner, epochs))
        if not rows:
            return []
        held = await store.lock_and_read(tx, [row.customer for row in rows])
        found = await self._messages(tx, [row.message_id for row in rows])
        before = {customer: each.ledger for customer, each in held.items()}
        ledgers = dict(before)
        marked: list[Marked] = []
        for row in rows:
            message = found.get(row.message_id)
            if message is None:
                continue
            ledger = ledgers[row.customer] = ledgers[row.customer].mark(row.message_id, now)
            marked.append(_marked(message, now, ledger))
        await self._write(tx, marked, now, opened)
        changed = {customer: ledger for customer, ledger in ledgers.items() if ledger is not before[customer]}
        await store.save_ledgers(tx, changed)
        order: dict[str, list[str]] = {}
        for item in marked:
            order.setdefault(item.customer, []).append(item.message_id)
        rows_of_history = [
            row
            for customer, ledger in changed.items()
            for row in store.history(customer, before[customer], ledger, now, order[customer])
        ]
        await store.keep_history(tx, rows_of_history)
        await tx.run(
            f"DELETE FROM outbox WHERE {tx.among('seq', 'seqs', 'bigint')}", seqs=tx.array([row.seq for row in rows])
        )
        return marked

    async def _next(self, tx: Tx, channel: str, ours: set[int]) -> Sequence[Row[Any]]:
        if not ours:
            return []
        return await tx.rows(
            f"SELECT seq, message_id, customer FROM outbox WHERE {tx.among('shard', 'shards', 'bigint')} "
            f"AND channel = :channel ORDER BY seq LIMIT {BATCH}",
            shards=tx.array(sorted(ours)),
            channel=channel,
        )

    async def _messages(self, tx: Tx, ids: list[str]) -> dict[str, Row[Any]]:
        rows = await tx.rows(
            f"SELECT {', '.join(f'm.{name}' for name in _COLUMNS)}, c.content FROM message m JOIN message_content c "
            f"ON c.message_id = m.message_id WHERE m.state = 'pending' AND {tx.among('m.message_id', 'ids')}",
            ids=tx.array(ids),
        )
        return {row.message_id: row for row in rows}

    async def _write(self, tx: Tx, marked: list[Marked], now: Instant, opened: Instant) -> None:
        if not marked:
            return
        rows = [(item.message_id, address_hash(self.key, item.channel, item.to)) for item in marked]
        await tx.run(
            "UPDATE message SET state = 'handing_over', attempts = attempts + 1, owner = :owner, marked_at = :now, "
            "opened = :opened, closed_at = NULL, address_hash = k.address_hash, updated = :now "
            f"FROM {tx.table('k', _MARK)} WHERE message.message_id = k.message_id",
            owner=self.owner,
            now=now,
            opened=opened,
            **tx.bind_table("k", _MARK, rows),
        )


def _marked(message: Row[Any], now: Instant, ledger: Ledger) -> Marked:
    return Marked(
        *(message.message_id, message.customer, message.campaign, message.version, message.channel, message.cls),
        *(message.event_source, message.event_id, message.since, message.updated),
        number=message.attempts + 1,
        to=message.to_address,
        content=msgspec.json.decode(message.content, type=dict[str, str]),
        marked_at=now,
        ledger=ledger,
        maybe_sent=message.detail == MAYBE_SENT,
    )
