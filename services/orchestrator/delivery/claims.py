"""Claims messages: the first step of a delivery, for those in the outbox and for those that were just decided.

A claim is committed before anything is read for the last time or sent: see `delivery.py`.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from schemas.addresses import hash_address
from schemas.times import SECOND, Instant
from services.kit.db.database import Tx
from services.kit.observability.logs import log_error
from services.orchestrator.decisions import store as ledger_store
from services.orchestrator.decisions.evaluation import (
    ClaimedMessage,
    CustomerEvaluation,
    MessageClaim,
    ReadyMessage,
)
from services.orchestrator.decisions.message_life import MessageStep, keep_steps
from services.orchestrator.delivery import store
from services.orchestrator.delivery.delivery import Delivery
from services.orchestrator.delivery.routing import OutboxLine

MEMORY_USED = 0.9
"""Which part of the time for which a provider recognises a message is relied on: its clock is not ours."""
MAX_IN_FLIGHT = 4_000
"""Messages of one adapter that inline delivery may have under way at once."""


@dataclass(frozen=True, slots=True)
class OutboxClaimer:
    """Claims messages of the outbox for one dispatcher. `address_key` is the key under which addresses are hashed.

    `memories`: for how many seconds adapters recognise what they have had, of those that forget it.
    """

    owner: str
    address_key: bytes
    memories: Mapping[str, float] = field(default_factory=dict)

    async def claim_messages(
        self, tx: Tx, line: OutboxLine, epochs: Mapping[int, int], limit: int, now: Instant, opened: Instant
    ) -> list[ClaimedMessage]:
        """Claim the next messages of our shards in a line of the outbox, in order, and no more than `limit`.

        Only shards whose epoch is still ours count: a dispatcher that has lost its shards claims nothing. `now` is the
        ledger's time, `opened` the database's time.
        """
        # The leases stay locked until the claims have committed, so nobody can take these shards in between.
        shards = await store.lock_owned_shards(tx, self.owner, epochs)
        rows = await store.next_outbox_rows(tx, line.channel, line.assigned, sorted(shards), limit=limit)
        if not rows:
            return []
        # Ledgers are locked before messages are read, here and everywhere: no deadlock, and states cannot change.
        locked = await ledger_store.lock_and_load_ledgers(tx, [row.customer for row in rows])
        pending = await store.load_pending_messages(tx, [row.message_id for row in rows])
        ledgers_before = {customer: each.ledger for customer, each in locked.items()}
        ledgers = dict(ledgers_before)
        lost = await self._find_lost(tx, line, pending, now)
        if pending:
            ids = list(pending)
            handover_id = await store.open_handover(tx, line.channel, line.adapter, self.owner, ids, now, opened)
        claimed_messages: list[ClaimedMessage] = []
        for row in rows:
            stored = pending.get(row.message_id)
            if stored is None:
                continue
            ledger = ledgers[row.customer] = ledgers[row.customer].claim_contact(row.message_id, now)
            claimed_messages.append(
                ClaimedMessage(
                    *(stored.message, handover_id, line.adapter, stored.attempts + 1, now, ledger),
                    stored.first_planned,
                    *(stored.ready_at, stored.maybe_sent, row.message_id not in lost),
                )
            )
        hashes = [
            (item.message.id, hash_address(self.address_key, item.message.channel, item.message.to))
            for item in claimed_messages
        ]
        if hashes:
            await store.write_claims(tx, hashes, handover_id, now)
            steps = (
                MessageStep(item.message.id, "handing_over", now, adapter=line.adapter, of_attempt=True)
                for item in claimed_messages
            )
            await keep_steps(tx, steps, now)
        claim_order: dict[str, list[str]] = {}
        for item in claimed_messages:
            claim_order.setdefault(item.message.customer, []).append(item.message.id)
        await ledger_store.save_ledger_changes(tx, ledgers_before, ledgers, now, claim_order)
        await store.delete_outbox_rows(tx, rows)
        return claimed_messages

    async def _find_lost(
        self, tx: Tx, line: OutboxLine, pending: Mapping[str, store.PendingMessage], now: Instant
    ) -> set[str]:
        """Those that an earlier attempt may have delivered and that this adapter would not recognise: another one has
        had them, or it was too long ago.
        """
        maybe_sent = {id: each for id, each in pending.items() if each.maybe_sent}
        others = {id for id, each in maybe_sent.items() if each.last_adapter not in (None, line.adapter)}
        memory = self.memories.get(line.adapter)
        if memory is None:
            return others
        first = await store.find_first_attempts(tx, list(maybe_sent))
        return others | {id for id, at in first.items() if now - at > memory * MEMORY_USED * SECOND}


class InlineDelivery:
    """Delivers what this process has just decided, without the outbox.

    It saves a transaction, a look at the event, and most of the facts. It claims only while little is under way, so
    that a slow provider never holds up deciding; everything else is left to the outbox and the dispatchers, as are
    messages that wait or are tried again. `owner` is unique to this process, `hash_address` gives the keyed hash of an
    address on a channel.
    """

    def __init__(self, owner: str, hash_address: Callable[[str, str], str], delivery: Delivery) -> None:
        self._owner = owner
        self._hash_address = hash_address
        self._delivery = delivery
        self._in_flight: Counter[str] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopping = False

    def deadline(self) -> float:
        """Until when (boot time, seconds) a handover may start whose claim begins now."""
        return self._delivery.deadline()

    async def claim_ready(
        self, tx: Tx, evaluations: Sequence[CustomerEvaluation], now: Instant
    ) -> list[ClaimedMessage]:
        """Claim as many fresh messages as there is room for, on the ledgers that are about to be written."""
        chosen: list[tuple[CustomerEvaluation, ReadyMessage, OutboxLine]] = []
        ids_by_line: dict[OutboxLine, list[str]] = {}
        for evaluation in evaluations:
            if evaluation.expected_states:
                continue  # a waiting message, which goes through the outbox
            for item in evaluation.ready_messages:
                line = None if self._stopping else self._delivery.choose_line(item.message)
                if line is None:
                    continue
                ids = ids_by_line.setdefault(line, [])
                if self._in_flight[line.adapter] + len(ids) < self._delivery.room(line.adapter, MAX_IN_FLIGHT):
                    ids.append(item.message.id)
                    chosen.append((evaluation, item, line))
        if not chosen:
            return []
        opened = await tx.now()  # the database's clock, by which recovery measures
        handovers = {
            line: await store.open_handover(tx, line.channel, line.adapter, self._owner, ids, now, opened)
            for line, ids in ids_by_line.items()
            if ids
        }
        claimed_messages: list[ClaimedMessage] = []
        for evaluation, item, line in chosen:
            await tx.loop_share.give_turn_if_due()
            claim = MessageClaim(handovers[line], self._hash_address(line.channel, item.message.to))
            claimed_messages.append(_claim_decided(evaluation, item, claim, now, line.adapter))
        return claimed_messages

    def start_sending(self, claimed_messages: Sequence[ClaimedMessage], deadline: float) -> None:
        """Deliver messages whose claims are committed, in the background."""
        by_handover: dict[int, list[ClaimedMessage]] = {}
        for item in claimed_messages:
            by_handover.setdefault(item.handover_id, []).append(item)
        for items in by_handover.values():
            self._in_flight[items[0].adapter] += len(items)
            task = asyncio.create_task(self._deliver(items, deadline))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _deliver(self, items: Sequence[ClaimedMessage], deadline: float) -> None:
        try:
            await self._delivery.deliver(items, deadline)
        except Exception as error:  # their attempts stay open: recovery closes them after the deadline
            log_error("handover_failed", error, adapter=items[0].adapter, count=len(items))
        finally:
            self._in_flight[items[0].adapter] -= len(items)

    def stop_claiming(self) -> None:
        """Claim nothing more, and give back what has not begun."""
        self._stopping = True
        self._delivery.refuse_new()

    async def wait_until_idle(self) -> None:
        """Wait until nothing is under way."""
        while self._tasks:
            await asyncio.gather(*self._tasks)


def _claim_decided(
    evaluation: CustomerEvaluation, item: ReadyMessage, claim: MessageClaim, now: Instant, adapter: str
) -> ClaimedMessage:
    """Claim a message of an evaluation that has not been written yet."""
    planned = item.planned
    # The evaluation is written after this: its ledger has the contact made, and its message the open attempt.
    evaluation.ledger = evaluation.ledger.claim_contact(planned.message_id, now)
    evaluation.claims[planned.message_id] = claim
    return ClaimedMessage(
        *(item.message, claim.handover_id, adapter, 1, now, evaluation.ledger, planned.first_planned),
        ready_at=now,
        triggered=planned.triggered,
        facts=evaluation.facts,
        sole_decision=len(evaluation.decisions) == 1,
    )
