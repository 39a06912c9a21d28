"""SQL of delivery: the outbox and who may claim from it, claims with their handovers, and the ends of attempts.

Who claims a message, or ends an attempt in any way but `accepted`, holds the lock on the customer's ledger row, and
then that on the handover's. What evaluations plan is written by `decisions/message_store.py`.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import Row

from schemas.decision import Decision
from schemas.message import Message
from schemas.times import SECOND, Instant
from schemas.vocabulary import MessageState
from services.kit.db.database import Tx
from services.orchestrator.decisions.message_store import TimerRow, add_timers
from services.orchestrator.decisions.store import SHARDS
from services.orchestrator.delivery.attempts import (
    MAYBE_SENT_DETAIL,
    AttemptEnd,
    AttemptResult,
    NextState,
    OpenAttempt,
)

CLAIM_BATCH_SIZE = 500
LEASE_DURATION = 10 * SECOND
ATTEMPT_COLUMNS = (
    *("message_id", "customer", "number", "owner", "claimed_at", "opened"),
    *("outcome", "detail", "closed_at"),
)
_DECISION_DECODER = msgspec.msgpack.Decoder(Decision)


# Leases of shards. A shard of the outbox belongs to one dispatcher, and each change of owner raises its epoch. A lease
# only divides the work: it never closes an attempt (see recovery.py).


async def create_leases(tx: Tx) -> None:
    """Make sure that every shard has its row."""
    for shard in range(SHARDS):
        await tx.execute(
            "INSERT INTO shard_lease (shard, epoch, owner, expires) VALUES (:shard, 0, '', 0) "
            "ON CONFLICT (shard) DO NOTHING",
            shard=shard,
        )


async def renew_leases(tx: Tx, owner: str, now: Instant) -> dict[int, int]:
    """Renew the owner's leases, take free shards up to a fair share, give back the rest. Returns shard -> epoch.

    `now` is the database's time.
    """
    await tx.execute(
        "INSERT INTO dispatcher (owner, expires) VALUES (:owner, :expires) "
        "ON CONFLICT (owner) DO UPDATE SET expires = excluded.expires",
        owner=owner,
        expires=now + LEASE_DURATION,
    )
    await tx.execute("DELETE FROM dispatcher WHERE expires <= :now", now=now)
    rows = await tx.rows(f"SELECT shard, epoch, owner, expires FROM shard_lease ORDER BY shard {tx.for_update}")
    dispatcher_count = await tx.row("SELECT count(*) AS dispatchers FROM dispatcher")
    fair_share = -(-SHARDS // max(1 if dispatcher_count is None else dispatcher_count.dispatchers, 1))
    # A lease that has expired but was not taken is still ours: the epoch, not the clock, decides.
    owned = {row.shard: row.epoch for row in rows if row.owner == owner}
    for shard in sorted(owned)[fair_share:]:
        del owned[shard]
        await tx.execute("UPDATE shard_lease SET owner = '', expires = 0 WHERE shard = :shard", shard=shard)
    for row in rows:
        if len(owned) < fair_share and row.owner != owner and row.expires <= now:
            owned[row.shard] = row.epoch + 1
            await tx.execute(
                "UPDATE shard_lease SET owner = :owner, epoch = epoch + 1 WHERE shard = :shard",
                owner=owner,
                shard=row.shard,
            )
    await tx.execute(
        "UPDATE shard_lease SET expires = :expires WHERE owner = :owner", expires=now + LEASE_DURATION, owner=owner
    )
    return owned


async def has_dispatcher(tx: Tx) -> bool:
    """Whether a process lives that hands over what is in the outbox, by the database's time."""
    return (
        await tx.row("SELECT 1 AS found FROM dispatcher WHERE expires > :now LIMIT 1", now=await tx.now()) is not None
    )


async def release_leases(tx: Tx, owner: str) -> None:
    """Give all shards back before the process ends."""
    await tx.execute("UPDATE shard_lease SET owner = '', expires = 0 WHERE owner = :owner", owner=owner)
    await tx.execute("DELETE FROM dispatcher WHERE owner = :owner", owner=owner)


async def lock_owned_shards(tx: Tx, owner: str, epochs: Mapping[int, int]) -> set[int]:
    """The owner's shards whose epoch is still the known one. Nobody can take them before this transaction ends."""
    rows = await tx.rows(
        f"SELECT shard, epoch FROM shard_lease WHERE owner = :owner ORDER BY shard "
        f"{'FOR SHARE' if tx.for_update else ''}",
        owner=owner,
    )
    return {row.shard for row in rows if epochs.get(row.shard) == row.epoch}


# The outbox and claims.


# A row of the outbox may name an adapter, where a channel has several: then that one's messages wait in its own line,
# and hold up nobody else. What nobody has chosen an adapter for yet has none.


async def has_outbox_rows(tx: Tx, channels: Iterable[str], shards: Sequence[int]) -> bool:
    """Whether the outbox holds anything of these channels for these shards. It costs less than an attempt to claim.

    One question for all channels: a subquery each, so that each is found by the index.
    """
    if not shards:
        return False
    in_shards = tx.in_list("shard", "shards", "bigint")
    names = {f"channel_{number}": channel for number, channel in enumerate(channels)}
    subqueries = [f"EXISTS (SELECT 1 FROM outbox WHERE {in_shards} AND channel = :{name})" for name in names]
    row = await tx.row(f"SELECT 1 AS found WHERE {' OR '.join(subqueries)}", shards=tx.list_parameter(shards), **names)
    return row is not None


async def next_outbox_rows(
    tx: Tx, channel: str, adapter: str | None, shards: Sequence[int], *, after: int = 0, limit: int = CLAIM_BATCH_SIZE
) -> Sequence[Row[Any]]:
    """The next rows of these shards in order, for an adapter or without one: `seq`, `message_id`, `customer`."""
    if not shards or limit <= 0:
        return []
    return await tx.rows(
        f"SELECT seq, message_id, customer FROM outbox WHERE {tx.in_list('shard', 'shards', 'bigint')} "
        f"AND channel = :channel AND {_of_adapter(adapter)} AND seq > :after ORDER BY seq LIMIT :limit",
        shards=tx.list_parameter(shards),
        channel=channel,
        after=after,
        limit=limit,
        **({} if adapter is None else {"adapter": adapter}),
    )


def _of_adapter(adapter: str | None) -> str:
    return "adapter IS NULL" if adapter is None else "adapter = :adapter"


_ASSIGNED_COLUMN_TYPES = {"seq": "bigint", "adapter": "text"}


async def assign_outbox_rows(tx: Tx, adapters: Mapping[int, str]) -> None:
    """Write which adapter rows of the outbox wait for: `seq` to its name."""
    if adapters:
        await tx.execute(
            "UPDATE outbox SET adapter = a.adapter "
            f"FROM {tx.table_parameter('a', _ASSIGNED_COLUMN_TYPES)} WHERE outbox.seq = a.seq",
            **tx.bind_table_parameter("a", _ASSIGNED_COLUMN_TYPES, list(adapters.items())),
        )


async def forget_other_adapters(tx: Tx, channel: str, known: Sequence[str], shards: Sequence[int]) -> None:
    """Let rows that wait for an adapter which does not serve the channel any more be assigned again."""
    if shards:
        await tx.execute(
            f"UPDATE outbox SET adapter = NULL WHERE {tx.in_list('shard', 'shards', 'bigint')} AND channel = :channel "
            f"AND adapter IS NOT NULL AND NOT {tx.in_list('adapter', 'known')}",
            shards=tx.list_parameter(shards),
            known=tx.list_parameter(known),
            channel=channel,
        )


async def delete_outbox_rows(tx: Tx, rows: Sequence[Row[Any]]) -> None:
    """Delete outbox rows whose messages have been claimed, or are no longer pending."""
    await tx.execute(
        f"DELETE FROM outbox WHERE {tx.in_list('seq', 'seqs', 'bigint')}",
        seqs=tx.list_parameter([row.seq for row in rows]),
    )


class PendingMessage(msgspec.Struct, frozen=True):
    """A message that is ready to be handed over, as it is stored."""

    message: Message
    first_planned: Instant | None
    attempts: int
    maybe_sent: bool
    ready_at: Instant
    last_adapter: str | None
    """The adapter of the attempt before this one."""


async def load_pending_messages(tx: Tx, ids: Sequence[str]) -> dict[str, PendingMessage]:
    """Those of the messages that are ready to be handed over, by id."""
    rows = await tx.rows(
        "SELECT m.message_id, m.customer, m.campaign, m.version, m.channel, m.cls, m.to_address, m.content, "
        "m.event_source, m.event_id, m.locale, m.topic, m.since, m.attempts, m.maybe_sent, m.updated, m.adapter "
        f"FROM message m WHERE m.state = 'pending' AND {tx.in_list('m.message_id', 'ids')}",
        ids=tx.list_parameter(ids),
    )
    return {
        row.message_id: PendingMessage(
            Message(
                *(row.message_id, row.customer, row.campaign, row.version, row.channel, row.cls, row.to_address),
                *(msgspec.json.decode(row.content, type=dict[str, str]), row.event_source, row.event_id),
                *(row.locale, row.topic),
            ),
            *(row.since, row.attempts, bool(row.maybe_sent), row.updated, row.adapter),
        )
        for row in rows
    }


async def find_first_attempts(tx: Tx, ids: Sequence[str]) -> dict[str, Instant]:
    """When these messages were first handed over without anybody knowing what became of them."""
    if not ids:
        return {}
    rows = await tx.rows(
        "SELECT message_id, min(claimed_at) AS first FROM attempt "
        f"WHERE outcome = 'unknown' AND {tx.in_list('message_id', 'ids')} GROUP BY message_id",
        ids=tx.list_parameter(ids),
    )
    return {row.message_id: row.first for row in rows}


async def open_handover(
    tx: Tx, channel: str, adapter: str, owner: str, messages: Sequence[str], now: Instant, opened: Instant
) -> int:
    """Write that the owner claims these messages together, for one adapter; returns the handover's id.

    `now` is the ledger's time, `opened` the database's time.
    """
    row = await tx.row(
        "INSERT INTO handover (channel, adapter, owner, claimed_at, opened, messages) "
        "VALUES (:channel, :adapter, :owner, :now, :opened, :messages) RETURNING handover_id",
        channel=channel,
        adapter=adapter,
        owner=owner,
        now=now,
        opened=opened,
        messages=msgspec.json.encode(messages).decode(),
    )
    assert row is not None
    return int(row.handover_id)


_CLAIM_COLUMN_TYPES = {"message_id": "text", "address_hash": "text"}


async def write_claims(tx: Tx, claims: Sequence[tuple[str, str]], handover_id: int, now: Instant) -> None:
    """Claim messages for a handover: (message id, keyed hash of its address). Each gets its next, open attempt."""
    if not claims:
        return
    await tx.execute(
        "UPDATE message SET state = 'handing_over', attempts = attempts + 1, handover_id = :handover, until = NULL, "
        "address_hash = k.address_hash, updated = :now "
        f"FROM {tx.table_parameter('k', _CLAIM_COLUMN_TYPES)} WHERE message.message_id = k.message_id",
        handover=handover_id,
        now=now,
        **tx.bind_table_parameter("k", _CLAIM_COLUMN_TYPES, claims),
    )


# The ends of attempts. The row of the handover is the lock: its owner and recovery end attempts one after the other.


async def lock_open_handover(tx: Tx, handover_id: int) -> bool:
    """Lock the handover, so that nobody else ends its attempts; whether it is still open."""
    return (
        await tx.row(
            f"SELECT 1 AS open FROM handover WHERE handover_id = :id AND closed_at IS NULL {tx.for_update}",
            id=handover_id,
        )
        is not None
    )


async def close_handover(tx: Tx, handover_id: int, accepted: Sequence[AttemptResult], now: Instant) -> bool:
    """Close the handover: each of its messages that is still `handing_over` when this transaction commits was accepted.

    Returns whether it was open until now. The caller ends all attempts that were not accepted, in this transaction.
    """
    said = {
        each.message_id: (each.handover_result.provider_id, each.handover_result.detail)
        for each in accepted
        if each.handover_result.provider_id is not None or each.handover_result.detail is not None
    }
    return (
        await tx.execute(
            "UPDATE handover SET closed_at = :now, results = :results WHERE handover_id = :id AND closed_at IS NULL",
            id=handover_id,
            now=now,
            results=msgspec.json.encode(said).decode() if said else None,
        )
        == 1
    )


async def end_attempts(tx: Tx, handover_id: int, ends: Sequence[AttemptEnd], now: Instant) -> dict[str, bool]:
    """Write how attempts of a handover ended; returns the messages whose attempts were still open: id -> whether an
    earlier attempt may have arrived.

    The caller holds the handover's lock, has found it open, and writes each message's next state in the same
    transaction.
    """
    if not ends:
        return {}
    rows = await tx.rows(
        "SELECT m.message_id, m.customer, m.attempts, m.maybe_sent, h.owner, h.claimed_at, h.opened "
        "FROM message m JOIN handover h ON h.handover_id = m.handover_id "
        f"WHERE m.handover_id = :id AND m.state = 'handing_over' AND {tx.in_list('m.message_id', 'ids')}",
        id=handover_id,
        ids=tx.list_parameter([end.message_id for end in ends]),
    )
    open_rows = {row.message_id: row for row in rows}
    await tx.bulk_insert(
        "attempt",
        ATTEMPT_COLUMNS,
        [
            (row.message_id, row.customer, row.attempts, row.owner, row.claimed_at, row.opened)
            + (end.outcome, end.detail, now)
            for end in ends
            if (row := open_rows.get(end.message_id)) is not None
        ],
    )
    return {message_id: bool(row.maybe_sent) for message_id, row in open_rows.items()}


async def find_overdue_handovers(tx: Tx, opened_before: Instant, limit: int) -> list[int]:
    """Open handovers that were opened at or before an instant of the database's time, the oldest first."""
    rows = await tx.rows(
        "SELECT handover_id FROM handover WHERE closed_at IS NULL AND opened <= :before "
        "ORDER BY opened, handover_id LIMIT :limit",
        before=opened_before,
        limit=limit,
    )
    return [row.handover_id for row in rows]


async def load_open_attempts(tx: Tx, handover_id: int) -> list[OpenAttempt]:
    """The attempts of a handover that have not ended."""
    rows = await tx.rows(
        "SELECT a.message_id, a.customer, a.channel, a.attempts, a.cls, m.maybe_sent, h.adapter FROM open_attempt a "
        "JOIN handover h ON h.handover_id = a.handover_id JOIN message m ON m.message_id = a.message_id "
        "WHERE a.handover_id = :id ORDER BY a.message_id",
        id=handover_id,
    )
    return [
        OpenAttempt(
            *(row.message_id, row.customer, row.channel, row.attempts, row.cls, bool(row.maybe_sent), row.adapter)
        )
        for row in rows
    ]


async def _load_customers(tx: Tx, ids: Sequence[str]) -> dict[str, str]:
    """The customers of these messages as they are now: a pseudonym once the customer is erased."""
    rows = await tx.rows(
        f"SELECT message_id, customer FROM message WHERE {tx.in_list('message_id', 'ids')}", ids=tx.list_parameter(ids)
    )
    return {row.message_id: row.customer for row in rows}


async def without_identity(tx: Tx, results: Sequence[AttemptResult], known: Collection[str]) -> list[AttemptResult]:
    """The results under the pseudonyms of customers who have been erased, without what the providers said."""
    customers = await _load_customers(tx, [each.message_id for each in results if each.customer not in known])
    return [
        each
        if each.customer in known
        else each._replace(
            customer=customers[each.message_id],
            handover_result=msgspec.structs.replace(each.handover_result, provider_id=None, detail=None),
        )
        for each in results
        if each.customer in known or each.message_id in customers
    ]


async def load_send_states(tx: Tx, ids: Sequence[str]) -> Mapping[str, Row[Any]]:
    """`state`, `maybe_sent`, `customer` and `attempts` of these messages, by id."""
    rows = await tx.rows(
        "SELECT message_id, state, maybe_sent, customer, attempts FROM tracked_message "
        f"WHERE {tx.in_list('message_id', 'ids')}",
        ids=tx.list_parameter(ids),
    )
    return {row.message_id: row for row in rows}


_NEXT_STATE_COLUMN_TYPES = {
    "message_id": "text",
    "state": "text",
    "until": "bigint",
    "adapter": "text",
    "provider_id": "text",
    "detail": "text",
    "maybe_sent": "bigint",
}


async def write_next_states(tx: Tx, writes: Sequence[tuple[AttemptResult, NextState]], now: Instant) -> None:
    """Write the states of messages after their attempts, and timers for those that are tried again."""
    if not writes:
        return
    rows = [
        (result.message_id, next_state.state.value, next_state.until, result.adapter)
        + (result.handover_result.provider_id, _message_detail(result, next_state), int(next_state.maybe_sent))
        for result, next_state in writes
    ]
    await tx.execute(
        "UPDATE message SET state = n.state, until = n.until, adapter = n.adapter, provider_id = n.provider_id, "
        "detail = n.detail, maybe_sent = n.maybe_sent, updated = :now "
        f"FROM {tx.table_parameter('n', _NEXT_STATE_COLUMN_TYPES)} WHERE message.message_id = n.message_id",
        now=now,
        **tx.bind_table_parameter("n", _NEXT_STATE_COLUMN_TYPES, rows),
    )
    timers = [
        TimerRow(result.message_id, result.customer, "retry", next_state.until)
        for result, next_state in writes
        if next_state.state is MessageState.RETRY and next_state.until is not None
    ]
    await add_timers(tx, timers, now)


def _message_detail(result: AttemptResult, next_state: NextState) -> str | None:
    return MAYBE_SENT_DETAIL if next_state.maybe_sent else result.handover_result.detail


async def load_last_decision(tx: Tx, customer: str, message_id: str) -> Decision | None:
    """The last decision about a message."""
    row = await tx.row(
        "SELECT body FROM decision WHERE customer = :customer AND message_id = :message_id "
        "ORDER BY decision_id DESC LIMIT 1",
        customer=customer,
        message_id=message_id,
    )
    return None if row is None else _DECISION_DECODER.decode(row.body)
