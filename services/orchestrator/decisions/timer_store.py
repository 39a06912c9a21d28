"""SQL of timers: which waiting messages are due, and the way back into the outbox for those that are retried."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import NamedTuple, TypeAlias

from schemas.times import SECOND, Instant
from services.kit.db.database import Tx
from services.orchestrator.decisions import store
from services.orchestrator.decisions.message_store import CAUSE_MESSAGE, add_to_outbox
from services.orchestrator.decisions.store import shard_of
from services.orchestrator.decisions.stored_trigger import StoredMessage
from services.orchestrator.policy.ledger import BEGINNING_OF_TIME

TIMER_CLAIM = 30 * SECOND
"""For how long a claimed timer is left to the scheduler that claimed it, in the database's time."""
BATCH_SIZE = 200
MAX_CLAIMS = 3
"""After so many claims that came to no end the message is not rendered any more: each has ended its process."""


class DueMessage(NamedTuple):
    """A message whose timer is due, and the state in which it was read."""

    message: StoredMessage
    state: str
    due: Instant
    earlier_claims: int
    """How many claims before this one came to no end: the scheduler's process ended, or was frozen for long."""
    falls_back: bool = False
    """Whether it waits, or may, for what becomes of another channel."""


async def next_due(tx: Tx, after: Instant = BEGINNING_OF_TIME) -> Instant | None:
    """When the next timer is due after an instant; None when there is no timer."""
    row = await tx.row("SELECT min(due) AS due FROM timer WHERE due > :after", after=after)
    return None if row is None else row.due


async def claim_due(tx: Tx, now: Instant) -> list[DueMessage]:
    """Claim a batch of timers that are due at `now` and that no other scheduler has claimed.

    One that was claimed before without an end comes alone: its message may have ended the process.
    """
    # Claims of timers are kept in the database's time, because `now` may be virtual.
    database_now = await tx.now()
    rows = await tx.rows(
        "SELECT t.message_id, t.claims FROM timer t WHERE t.due <= :now AND t.claimed_until <= :database_now "
        f"ORDER BY t.due, t.message_id LIMIT {BATCH_SIZE} {tx.for_update and 'FOR UPDATE SKIP LOCKED'}",
        now=now,
        database_now=database_now,
    )
    if not rows:
        return []
    rows = next(([row] for row in rows if row.claims), rows)
    ids = tx.list_parameter([row.message_id for row in rows])
    await tx.execute(
        f"UPDATE timer SET claimed_until = :until, claims = claims + 1 WHERE {tx.in_list('message_id', 'ids')}",
        until=database_now + TIMER_CLAIM,
        ids=ids,
    )
    found = await tx.rows(
        "SELECT m.message_id, m.customer, m.campaign, m.channel, m.since, m.event_source, m.event_id, m.state, t.due, "
        "t.claims - 1 AS earlier_claims, EXISTS (SELECT 1 FROM parked p "
        f"WHERE p.message_id = t.message_id AND p.cause = '{CAUSE_MESSAGE}') AS falls_back "
        f"FROM message m JOIN timer t ON t.message_id = m.message_id WHERE {tx.in_list('m.message_id', 'ids')}",
        ids=ids,
    )
    return [
        DueMessage(StoredMessage._make(row[:7]), row.state, row.due, row.earlier_claims, bool(row.falls_back))
        for row in found
    ]


async def forget_claims(tx: Tx, due: Sequence[DueMessage]) -> None:
    """These claims came to no end, but their process has outlived them."""
    ids = tx.list_parameter([item.message.message_id for item in due])
    await tx.execute(f"UPDATE timer SET claims = 0 WHERE {tx.in_list('message_id', 'ids')}", ids=ids)


async def give_back_claims(tx: Tx, due: Sequence[DueMessage]) -> None:
    """These timers may be claimed again at once: their evaluation was dropped."""
    if due:
        ids = tx.list_parameter([item.message.message_id for item in due])
        await tx.execute(
            f"UPDATE timer SET claims = 0, claimed_until = 0 WHERE {tx.in_list('message_id', 'ids')}", ids=ids
        )


RetryAdmission: TypeAlias = Callable[[Tx, Mapping[str, Sequence[str]], Instant], Awaitable[Mapping[str, Instant]]]
"""Given the messages that are due to be tried again, by adapter: which of them wait longer, and until when."""


async def admit_all(tx: Tx, due: Mapping[str, Sequence[str]], now: Instant) -> Mapping[str, Instant]:
    """A RetryAdmission that lets every retry go."""
    return {}


async def requeue_retries(
    tx: Tx, retries: Sequence[DueMessage], now: Instant, admit: RetryAdmission = admit_all
) -> None:
    """Put messages that a provider did not take back into the outbox. The recheck evaluates them again.

    Those that `admit` names stay where they are, and are due later.
    """
    if not retries:
        return
    await store.lock_and_load_ledgers(tx, [item.message.customer for item in retries])
    postponed = await admit(tx, await _group_by_adapter(tx, retries), now)
    await _postpone(tx, postponed)
    ids = [item.message.message_id for item in retries if item.message.message_id not in postponed]
    rows = await tx.rows(
        "UPDATE message SET state = 'pending', until = NULL, updated = :now WHERE state = 'retry' "
        f"AND {tx.in_list('message_id', 'ids')} RETURNING message_id, customer, channel",
        ids=tx.list_parameter(ids),
        now=now,
    )
    await add_to_outbox(tx, [(shard_of(r.customer), r.channel, r.message_id, r.customer) for r in rows])
    await tx.execute(f"DELETE FROM timer WHERE {tx.in_list('message_id', 'ids')}", ids=tx.list_parameter(ids))


async def _group_by_adapter(tx: Tx, retries: Sequence[DueMessage]) -> dict[str, list[str]]:
    """Their ids by the adapter that did not take them, those that are due longest first."""
    ids = [item.message.message_id for item in sorted(retries, key=lambda item: (item.due, item.message.message_id))]
    rows = await tx.rows(
        f"SELECT message_id, adapter FROM message WHERE state = 'retry' AND {tx.in_list('message_id', 'ids')}",
        ids=tx.list_parameter(ids),
    )
    adapters = {row.message_id: row.adapter for row in rows}
    grouped: dict[str, list[str]] = {}
    for id in ids:
        if adapters.get(id) is not None:
            grouped.setdefault(adapters[id], []).append(id)
    return grouped


_POSTPONED_COLUMN_TYPES = {"message_id": "text", "due": "bigint"}


async def _postpone(tx: Tx, until: Mapping[str, Instant]) -> None:
    """Let messages, and their timers, wait until then."""
    if not until:
        return
    parameters = tx.bind_table_parameter("p", _POSTPONED_COLUMN_TYPES, list(until.items()))
    source = tx.table_parameter("p", _POSTPONED_COLUMN_TYPES)
    await tx.execute(
        f"UPDATE message SET until = p.due FROM {source} WHERE message.message_id = p.message_id", **parameters
    )
    await tx.execute(
        f"UPDATE timer SET due = p.due, claimed_until = 0, claims = 0 FROM {source} "
        "WHERE timer.message_id = p.message_id",
        **parameters,
    )
