"""The mark: before any byte leaves, message and attempt become `handing_over` and the contact is made, in one go.

Fresh facts are read only after this has been committed. So an opt-out that was committed before sees the attempt and
waits for it, and one that is committed later is seen by the facts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import Row

from schemas.ids import hash_address
from schemas.times import Instant
from services.kit.db.database import Tx
from services.orchestrator.decisions import store
from services.orchestrator.delivery import shard_lease
from services.orchestrator.policy.customer_facts import Facts
from services.orchestrator.policy.ledger import Ledger
from services.orchestrator.policy.match import TriggeredCampaign

BATCH_SIZE = 500

_COLUMNS = (
    *("message_id", "customer", "campaign", "version", "channel", "cls", "event_source", "event_id"),
    *("since", "attempts", "to_address", "maybe_sent", "updated"),
)
_CLAIM_COLUMN_TYPES = {"message_id": "text", "address_hash": "text"}


class ClaimedMessage(msgspec.Struct, frozen=True):
    """A message that is being handed over, and its customer's ledger as it was at the mark."""

    message_id: str
    customer: str
    campaign: str
    version: int
    channel: str
    cls: str
    event_source: str
    event_id: str
    first_planned: Instant | None
    ready_at: Instant
    """When it became ready to be handed over."""
    number: int
    to: str
    content: dict[str, str]
    claimed_at: Instant
    ledger: Ledger
    maybe_sent: bool = False
    """An earlier attempt may have arrived."""
    triggered: TriggeredCampaign | None = None
    """What was judged, where the same process has just done so."""
    facts: Facts | None = None
    """On what it was judged, likewise."""
    sole_decision: bool = False
    """Nothing else was judged with it: then all contacts of its customer are as they were when it was allowed."""


@dataclass(frozen=True, slots=True)
class OutboxClaimer:
    """Marks for one dispatcher. `key` is the key under which addresses are hashed."""

    owner: str
    address_key: bytes

    async def claim_messages(
        self, tx: Tx, channel: str, epochs: Mapping[int, int], now: Instant, opened: Instant
    ) -> list[ClaimedMessage]:
        """Mark the next messages of our shards on a channel, in order of the outbox."""
        rows = await self._next_outbox_rows(tx, channel, await shard_lease.lock_owned_shards(tx, self.owner, epochs))
        if not rows:
            return []
        locked = await store.lock_and_load_ledgers(tx, [row.customer for row in rows])
        found = await self._load_messages(tx, [row.message_id for row in rows])
        ledgers_before = {customer: each.ledger for customer, each in locked.items()}
        ledgers = dict(ledgers_before)
        claimed_messages: list[ClaimedMessage] = []
        for row in rows:
            message = found.get(row.message_id)
            if message is None:
                continue
            ledger = ledgers[row.customer] = ledgers[row.customer].claim_contact(row.message_id, now)
            claimed_messages.append(_to_claimed_message(message, now, ledger))
        await self._write_claims(tx, claimed_messages, now, opened)
        changed = {customer: ledger for customer, ledger in ledgers.items() if ledger is not ledgers_before[customer]}
        await store.save_ledgers(tx, changed)
        claim_order: dict[str, list[str]] = {}
        for item in claimed_messages:
            claim_order.setdefault(item.customer, []).append(item.message_id)
        history_rows = [
            row
            for customer, ledger in changed.items()
            for row in store.contact_history_rows(
                customer, ledgers_before[customer], ledger, now, claim_order[customer]
            )
        ]
        await store.insert_contact_history(tx, history_rows)
        await tx.execute(
            f"DELETE FROM outbox WHERE {tx.in_list('seq', 'seqs', 'bigint')}",
            seqs=tx.list_parameter([row.seq for row in rows]),
        )
        return claimed_messages

    async def _next_outbox_rows(self, tx: Tx, channel: str, owned_shards: set[int]) -> Sequence[Row[Any]]:
        if not owned_shards:
            return []
        return await tx.rows(
            f"SELECT seq, message_id, customer FROM outbox WHERE {tx.in_list('shard', 'shards', 'bigint')} "
            f"AND channel = :channel ORDER BY seq LIMIT {BATCH_SIZE}",
            shards=tx.list_parameter(sorted(owned_shards)),
            channel=channel,
        )

    async def _load_messages(self, tx: Tx, ids: list[str]) -> dict[str, Row[Any]]:
        rows = await tx.rows(
            f"SELECT {', '.join(f'm.{name}' for name in _COLUMNS)}, c.content FROM message m JOIN message_content c "
            f"ON c.message_id = m.message_id WHERE m.state = 'pending' AND {tx.in_list('m.message_id', 'ids')}",
            ids=tx.list_parameter(ids),
        )
        return {row.message_id: row for row in rows}

    async def _write_claims(
        self, tx: Tx, claimed_messages: list[ClaimedMessage], now: Instant, opened: Instant
    ) -> None:
        if not claimed_messages:
            return
        rows = [(item.message_id, hash_address(self.address_key, item.channel, item.to)) for item in claimed_messages]
        await tx.execute(
            "UPDATE message SET state = 'handing_over', attempts = attempts + 1, owner = :owner, claimed_at = :now, "
            "opened = :opened, closed_at = NULL, address_hash = k.address_hash, updated = :now "
            f"FROM {tx.table_parameter('k', _CLAIM_COLUMN_TYPES)} WHERE message.message_id = k.message_id",
            owner=self.owner,
            now=now,
            opened=opened,
            **tx.bind_table_parameter("k", _CLAIM_COLUMN_TYPES, rows),
        )


def _to_claimed_message(message: Row[Any], now: Instant, ledger: Ledger) -> ClaimedMessage:
    return ClaimedMessage(
        *(message.message_id, message.customer, message.campaign, message.version, message.channel, message.cls),
        *(message.event_source, message.event_id, message.since, message.updated),
        number=message.attempts + 1,
        to=message.to_address,
        content=msgspec.json.decode(message.content, type=dict[str, str]),
        claimed_at=now,
        ledger=ledger,
        maybe_sent=bool(message.maybe_sent),
    )
