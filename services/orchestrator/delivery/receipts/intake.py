"""Takes receipts and replies: they are durable, and what they forbid is forbidden, before the provider is told so.

What a provider repeats changes nothing more. A receipt about a message that is not known here changes nothing at all.
"""

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import msgspec
from sqlalchemy import Row

from schemas.message import HandoverResult
from schemas.receipt import ARRIVAL_KINDS, CustomerReply, Receipt, Statement, shows_failure
from schemas.service_api import RECEIPTS_OF, AddressLift, AttemptScope, ProviderEntry
from schemas.times import SECOND, Instant
from schemas.vocabulary import Class, MessageState, SuppressionReason
from services.clients.opt_out_barrier import OptOutBarrier
from services.kit.db.database import Database, Tx
from services.kit.errors import Permanent
from services.kit.observability.logs import log
from services.kit.observability.tracer import Tracer
from services.kit.runtime.clock import Clock
from services.orchestrator.bounce_settings import BounceSettings
from services.orchestrator.decisions import store as ledger_store
from services.orchestrator.decisions.message_store import wake_waiting
from services.orchestrator.delivery.attempts import AttemptResult
from services.orchestrator.delivery.open_attempts import OpenAttemptsReader
from services.orchestrator.delivery.receipts import store, undecided_store
from services.orchestrator.delivery.receipts.entry_api import EntriesRefused, EntryApi
from services.orchestrator.delivery.receipts.metrics import ReceiptMetrics
from services.orchestrator.delivery.receipts.receipt_trace import ReceiptTrace
from services.orchestrator.delivery.receipts.replies import MAYBE_STOP, match_replies
from services.orchestrator.delivery.receipts.reply_decisions import HELD_CLASSES, ReplyDecisions, stopped_classes
from services.orchestrator.delivery.receipts.soft_bounces import SoftBounceCounter
from services.orchestrator.delivery.receipts.store import NewReceipt
from services.orchestrator.delivery.receipts.undecided_store import ReplyDecision
from services.orchestrator.delivery.results import KNOWN_BY_RECEIPT, record_late_results

_DEFAULTS = BounceSettings()
_PLAIN_WORDS = (SuppressionReason.STOP_KEYWORD, store.LIFTS)
"""What a plain STOP or START leads to. Who stops advertising alone has not said what they meant before."""
_REFUSALS = (SuppressionReason.STOP_KEYWORD, SuppressionReason.SPAM_COMPLAINT, store.STOPS_ADVERTISING)
ENTRIES_AT_ONCE = 500
"""Entries in one question to suppression, so that it is no larger than a request may be."""


@dataclass(frozen=True, slots=True)
class TakenReceipts:
    """How many receipts were new, repeated, and about messages that are not known here."""

    new: int
    repeated: int
    unknown: int


def suppression_reason(receipt: Receipt) -> SuppressionReason | None:
    """Why the address must not be written to again after this receipt; None where it may."""
    if receipt.kind == "bounced" and receipt.permanent:
        return SuppressionReason.HARD_BOUNCE
    if receipt.kind == "complained":
        return SuppressionReason.SPAM_COMPLAINT
    return SuppressionReason.STOP_KEYWORD if receipt.kind == "unsubscribed" else None


def _of_account(adapter: str, statement: Statement) -> Statement:
    """A reply with the adapter's own name in its key: two accounts of one kind may number replies alike. Receipts are
    told apart by their messages.
    """
    if not isinstance(statement, CustomerReply) or statement.key.startswith(f"{adapter}:"):
        return statement
    return msgspec.structs.replace(statement, key=f"{adapter}:{statement.key.rpartition(':')[2]}")


def _says_no(receipt: NewReceipt) -> bool:
    """Whether the customer wants to hear less, or may want to."""
    return receipt.suppresses in _REFUSALS or receipt.receipt.detail == MAYBE_STOP


def _settles(receipt: Receipt) -> bool:
    """Whether other channels need wait for the message no longer: it has arrived, or certainly will not."""
    return receipt.kind in ARRIVAL_KINDS or shows_failure(receipt.kind, receipt.permanent)


class ReceiptIntake:
    """Takes the receipts of all adapters."""

    def __init__(
        self,
        database: Database,
        suppression: EntryApi,
        clock: Clock,
        metrics: ReceiptMetrics,
        bounces: BounceSettings = _DEFAULTS,
        tracer: Tracer | None = None,
    ) -> None:
        """`tracer` records receipts of sampled events."""
        self._trace = ReceiptTrace(tracer, database)
        self._soft_bounces = SoftBounceCounter(bounces)
        self._database = database
        self._suppression = suppression
        self._clock = clock
        self._metrics = metrics
        self._barrier = OptOutBarrier(OpenAttemptsReader(database))
        self.reply_decisions = ReplyDecisions(database, suppression, clock)

    async def take(self, adapter: str, statements: Sequence[Statement]) -> TakenReceipts:
        """Keep these receipts and replies, and make the entries that follow from them. Raises Transient: then the
        provider has to send them again, and those that were kept are repetitions.
        """
        now, began = self._clock.now(), time.time_ns()
        # What a clock that is ahead of ours says of the future would forbid nothing until then.
        statements = [msgspec.structs.replace(each, at=min(each.at, now)) for each in statements]
        statements = [_of_account(adapter, each) for each in statements]
        receipts = [each for each in statements if isinstance(each, Receipt)]
        async with self._database.write() as tx:
            matched = await match_replies(tx, adapter, [each for each in statements if isinstance(each, CustomerReply)])
            replies = matched.receipts
            messages = await store.load_messages(tx, {each.message_id for each in receipts})
            about_messages = [
                NewReceipt(each, messages[each.message_id].customer, suppression_reason(each))
                for each in receipts
                if each.message_id in messages
            ]
            known = [*about_messages, *replies]
            new_keys = await store.insert_receipts(tx, adapter, known, now)
            new = [each.receipt for each in about_messages if each.receipt.key in new_keys]
            if new_keys:
                await tx.notify(store.RECEIPTS_TAKEN)
                # All at once, in customer order: two steps that lock some each could wait for each other's.
                concerned = {each.customer for each in known if each.receipt.key in new_keys and each.customer}
                await ledger_store.lock_ledgers(tx, sorted(concerned))
                # A handover may have ended, with an unknown outcome, while this waited for the locks.
                messages |= await store.load_messages(tx, {each.message_id for each in new})
            await _settle_unknown(tx, new, messages, now)
            await _release_unsent(tx, new, messages, now)
            await store.keep_receipts(tx, adapter, known, new_keys, now)
            await self._soft_bounces.count(tx, new, messages, now)
            settled = await _keep_undecided(
                tx, adapter, [each for each in replies if each.receipt.key in new_keys], now
            )
            await wake_waiting(tx, sorted({each.message_id for each in new if _settles(each)}), now)
        keys = {each.receipt.key for each in known}
        if keys & await self.suppress(await self._find_unsuppressed(keys)):
            raise EntriesRefused("entries are refused; the log says which and why", retry_after=5.0)
        await self.reply_decisions.hold([*settled, *(each.receipt.key for each in replies)])
        await self._wait_for_handovers([each for each in known if _says_no(each)], messages)
        for each in {
            each.receipt.key: each for each in known if not each.repeats and each.receipt.key in new_keys
        }.values():
            self._record(adapter, each, messages.get(each.receipt.message_id))
        said = [each.receipt.key for each in known if not each.repeats]
        new_said, unknown = len(new_keys.intersection(said)), len(statements) - len(said)
        counts = TakenReceipts(new_said, len(said) - new_said, unknown)
        self._metrics.record_others(adapter, counts.repeated, unknown - matched.unreadable - matched.elsewhere)
        self._metrics.record_unheard(adapter, matched.unreadable, matched.elsewhere)
        await self._trace.record_receipts(adapter, new, messages, began)
        return counts

    async def _wait_for_handovers(self, refusals: Sequence[NewReceipt], messages: Mapping[str, Row[Any]]) -> None:
        """Wait until no handover can start that began before these customers' no was in force, on any channel of
        theirs, for MAX_BARRIER_WAIT seconds at most; then the provider is answered all the same, and the log says so.
        """
        channels = {each.channel or messages[each.receipt.message_id].channel for each in refusals}
        if channels:
            of_channels = AttemptScope(channels=tuple(sorted(channels)))
            enforced, in_flight = await self._barrier.wait_until_enforced([of_channels], of_channels)
            if not enforced:
                log("receipt_not_enforced", level="warning", channels=sorted(channels), in_flight=in_flight)

    def _record(self, adapter: str, new: NewReceipt, message: Row[Any] | None) -> None:
        receipt, delay = new.receipt, None
        if message is not None and message.closed_at is not None:
            delay = max(receipt.at - message.closed_at, 0) / SECOND
        channel = new.channel or (message.channel if message is not None else "")
        self._metrics.record_new(adapter, channel, receipt.kind, delay)

    async def _find_unsuppressed(self, keys: Collection[str]) -> Sequence[Row[Any]]:
        if not keys:
            return ()
        async with self._database.read() as tx:
            rows = await store.list_unsuppressed(tx, keys)
            if not any(row.suppresses == store.LIFTS for row in rows):
                return rows
            # What takes an entry back comes after the entry, which may not have been made yet.
            oldest = await store.list_owed_entries(tx, ENTRIES_AT_ONCE)
        return list({row.seq: row for row in (*oldest, *rows)}.values())

    async def suppress(self, rows: Sequence[Row[Any]]) -> set[str]:
        """Make the do-not-contact entries of these receipts, and note that they are made. Returns the keys of those
        that suppression refuses: they stay owed. Raises Transient.

        Suppression is called outside of a transaction of ours. To make an entry twice is no error, nor to remove one.
        """
        refused: set[str] = set()
        in_order = sorted(rows, key=lambda row: (*_line(row), row.seq))
        for _, run in groupby(in_order, key=lambda row: (*_line(row), row.adapter, _lifted_reason(row))):
            of_run = list(run)
            for start in range(0, len(of_run), ENTRIES_AT_ONCE):
                refused |= await self._suppress_alike(of_run[start : start + ENTRIES_AT_ONCE])
        return refused

    async def _suppress_alike(self, rows: Sequence[Row[Any]]) -> set[str]:
        """Make, or take back, the entries of receipts of one adapter; where they are refused, each by itself."""
        lifts, added_by = _lifted_reason(rows[0]), f"{RECEIPTS_OF}{rows[0].adapter}"
        try:
            if lifts is None:
                await self._suppression.add_entries([self._entry(row) for row in rows], added_by)
            else:
                await self._suppression.lift_entries([*map(_lift, filter(_has_address, rows))], lifts, added_by)
        except Permanent as error:
            if len(rows) == 1:
                log("entries_refused", level="error", receipt=rows[0].seq, reason=_reason(rows[0]), detail=error.detail)
                return {rows[0].receipt_key}
            return {key for row in rows for key in await self._suppress_alike([row])}
        async with self._database.write() as tx:
            await store.mark_suppressed(tx, [row.seq for row in rows])
        return set()

    def _entry(self, row: Row[Any]) -> ProviderEntry:
        """The entry of a receipt, for the channel that the message was sent on.

        Who unsubscribes at the provider wants no more advertising, and on some channels nothing more; after a bounce or
        a complaint nothing is sent there. After soft bounces transactional messages are still tried: one that arrives
        shows that the address works again.
        """
        classes: tuple[str, ...] | None = None
        expires, reason = None, row.suppresses
        if row.suppresses == store.STOPS_ADVERTISING:
            classes, reason = (Class.MARKETING.value,), SuppressionReason.STOP_KEYWORD
        elif row.suppresses == SuppressionReason.STOP_KEYWORD:
            classes = stopped_classes(row.channel)
        elif row.suppresses == SuppressionReason.SOFT_BOUNCES:
            classes, expires = HELD_CLASSES, self._soft_bounces.rests_until(row.at)
        source, to = f"{row.adapter}: {row.kind}", row.to_address or None
        return ProviderEntry(row.customer, to, row.channel, classes, reason, source, row.at, expires)


def _lifted_reason(row: Row[Any]) -> SuppressionReason | None:
    """Of what takes entries back, their reason: a reply those of STOP, an arrival those of soft bounces."""
    if row.suppresses != store.LIFTS:
        return None
    is_start = row.kind == "replied" and row.detail == "start"
    return SuppressionReason.STOP_KEYWORD if is_start else SuppressionReason.SOFT_BOUNCES


def _reason(row: Row[Any]) -> str:
    """The reason of the entry that a receipt makes or takes back."""
    if row.suppresses == store.STOPS_ADVERTISING:
        return SuppressionReason.STOP_KEYWORD
    return _lifted_reason(row) or row.suppresses


def _line(row: Row[Any]) -> tuple[str, str]:
    """Receipts of which one may take back what another makes: their entries are made and taken back in their order.
    STOP and START count by adapter, soft bounces over all adapters.
    """
    reason = _reason(row)
    return reason, "" if reason == SuppressionReason.SOFT_BOUNCES else row.adapter


def _has_address(row: Row[Any]) -> bool:
    return bool(row.to_address)


def _lift(row: Row[Any]) -> AddressLift:
    """START takes back what was said before it. An arrival may be told late, and takes back what was known by then."""
    is_start = _lifted_reason(row) is SuppressionReason.STOP_KEYWORD
    return AddressLift(row.to_address, row.channel, row.at if is_start else max(row.at, row.received))


async def _keep_undecided(tx: Tx, adapter: str, replies: Sequence[NewReceipt], now: Instant) -> list[str]:
    """Keep new replies that may be a STOP for a person; what a plain STOP or START says needs no decision any more.
    Returns the keys of what was decided so.
    """
    near_misses = [each for each in replies if each.receipt.detail == MAYBE_STOP]
    await undecided_store.insert_undecided(tx, adapter, near_misses, now)
    settled: list[str] = []
    for each in replies:
        if each.suppresses in _PLAIN_WORDS and each.channel and each.reply_from:
            is_start = each.suppresses == store.LIFTS
            state: ReplyDecision = "not_stop" if is_start else "stop"
            # A STOP counts however late it is told; a START says nothing of what was written after it.
            until = each.receipt.at if is_start else now
            settled += await undecided_store.close_by_customer(tx, each.channel, each.reply_from, state, until, now)
    return settled


async def _settle_unknown(tx: Tx, receipts: Sequence[Receipt], messages: dict[str, Row[Any]], now: Instant) -> None:
    """A receipt shows that the provider had the message, where its handover had an unknown outcome."""
    unknown = {each.message_id for each in receipts if messages[each.message_id].state == MessageState.UNKNOWN}
    results = [
        AttemptResult(
            messages[id].customer,
            messages[id].attempts,
            HandoverResult(id, "accepted", detail=KNOWN_BY_RECEIPT),
            may_repeat=True,
            adapter=messages[id].adapter or "",
        )
        for id in sorted(unknown)
    ]
    if results:
        await record_late_results(tx, results, now)


async def _release_unsent(tx: Tx, receipts: Sequence[Receipt], messages: dict[str, Row[Any]], now: Instant) -> None:
    """A message that left for nobody was no contact."""
    unsent = [(messages[each.message_id].customer, each.message_id) for each in receipts if each.kind == "failed"]
    if not unsent:
        return
    locked = await ledger_store.lock_and_load_ledgers(tx, [customer for customer, _ in unsent])
    before = {customer: each.ledger for customer, each in locked.items()}
    after = dict(before)
    for customer, message_id in unsent:
        if customer in after:
            after[customer] = after[customer].release(message_id)
    await ledger_store.save_ledger_changes(tx, before, after, now)
