"""Writes what became of a handover: the last step of `delivery.py`, and of recovery in place of a dead owner."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import msgspec

from schemas.decision import Decision
from schemas.message import HandoverFault, HandoverResult
from schemas.out_topics import MessageChangeKind
from schemas.receipt import Receipt, ReceiptKind
from schemas.times import Instant
from schemas.vocabulary import MessageState, Outcome, SuppressionReason
from services.kit.db.database import Tx
from services.orchestrator.decisions import store as ledger_store
from services.orchestrator.decisions.message_life import MessageStep, keep_steps
from services.orchestrator.decisions.message_store import wake_waiting
from services.orchestrator.decisions.store import VersionedLedger
from services.orchestrator.delivery import store
from services.orchestrator.delivery.attempts import (
    AttemptResult,
    NextState,
    resolve_absence,
    resolve_next_state,
    update_ledger,
)
from services.orchestrator.delivery.receipts import store as receipt_store
from services.orchestrator.delivery.receipts.store import NewReceipt
from services.orchestrator.delivery.unknown_store import find_overtaken

KNOWN_BY_SEARCH: Final = "found at its provider"
NOT_AT_PROVIDER: Final = "not found at its provider"
"""Details of a message of which nobody knew whether it had arrived, until its provider was asked."""
KNOWN_BY_RECEIPT: Final = "known by its receipt"
"""Detail of a message of which nobody knew whether it had arrived, until its provider said something of it."""

_OPEN = MessageState.HANDING_OVER.value
_REFUSED_ADDRESSES: Final[Mapping[HandoverFault | None, SuppressionReason]] = {
    "address": SuppressionReason.HARD_BOUNCE,
    "unsubscribed": SuppressionReason.STOP_KEYWORD,
}
_STEPS: Final[Mapping[MessageState, MessageChangeKind]] = {
    MessageState.ACCEPTED: "accepted",
    MessageState.REJECTED: "rejected",
    MessageState.FAILED: "failed",
    MessageState.RETRY: "retry",
    MessageState.UNKNOWN: "unknown",
}
"""What a message's state after its attempt is called in `tactful.messages`."""
_CERTAIN_ENDS = (MessageState.REJECTED, MessageState.FAILED)
NextStates = Sequence[tuple[AttemptResult, NextState]]


async def record_results(
    tx: Tx, handover_id: int, results: Sequence[AttemptResult], now: Instant, *, closes: bool = True
) -> bool:
    """Write the results of attempts of a handover, and close it; returns whether it was still open. If it was not,
    nothing is written.

    Accepted results need no more than the closing, because their contacts stay as they are.
    """
    accepted = [result for result in results if result.handover_result.outcome == "accepted"]
    others = [result for result in results if result.handover_result.outcome != "accepted"]
    locked = await ledger_store.lock_and_load_ledgers(tx, [result.customer for result in others])
    if not await (
        store.close_handover(tx, handover_id, accepted, now) if closes else store.lock_open_handover(tx, handover_id)
    ):
        return False
    if closes:
        await keep_steps(tx, _steps_of_accepted(accepted, now), now)
    ended = await store.end_attempts(tx, handover_id, [result.end for result in others], now)
    others = await _settle_by_receipts(tx, others)
    next_states = [
        (result, resolve_next_state(result, now, was_open=True, state=_OPEN, maybe_sent=ended[result.message_id]))
        for result in others
        if result.message_id in ended
    ]
    await _write_next_states(tx, [(result, state) for result, state in next_states if state], locked, now)
    return True


async def _settle_by_receipts(tx: Tx, results: Sequence[AttemptResult]) -> list[AttemptResult]:
    """These results, with accepted in place of unknown where the provider has said something of the message meanwhile.

    A receipt may come before the handover's result is known, as the provider does not wait for us. Whoever takes one
    locks the ledger before looking at the message; the caller has locked it before, so one of both sees the other.
    """
    unknown = [result.message_id for result in results if result.handover_result.outcome == "unknown"]
    told = await receipt_store.find_told(tx, unknown)
    return [
        result._replace(handover_result=HandoverResult(result.message_id, "accepted", detail=KNOWN_BY_RECEIPT))
        if result.message_id in told
        else result
        for result in results
    ]


async def record_late_results(tx: Tx, results: Sequence[AttemptResult], now: Instant) -> None:
    """Write results whose attempts others have ended meanwhile: an accepted one ends what they left as unknown."""
    locked = await ledger_store.lock_and_load_ledgers(tx, [result.customer for result in results])
    if any(result.customer not in locked for result in results):  # erased since
        results = await store.without_identity(tx, results, locked.keys())
        locked |= await ledger_store.lock_and_load_ledgers(tx, [result.customer for result in results])
    rows = await store.load_send_states(tx, [result.message_id for result in results])
    next_states = [
        (result, resolve_next_state(result, now, was_open=False, state=row.state, maybe_sent=bool(row.maybe_sent)))
        for result in results
        if (row := rows.get(result.message_id)) is not None
    ]
    await _write_next_states(tx, [(result, state) for result, state in next_states if state], locked, now)


async def record_absences(tx: Tx, results: Sequence[AttemptResult], now: Instant) -> list[str]:
    """Let messages with an unknown outcome be tried again, because their provider certainly has not had them. `results`
    say so as a refusal for now. Returns which of them are: not those of erased customers, nor any of which something
    has become known meanwhile, nor any whose campaign has fallen back to another channel since.
    """
    locked = await ledger_store.lock_and_load_ledgers(tx, [result.customer for result in results])
    overtaken = await find_overtaken(tx, [result.message_id for result in results])
    rows = await store.load_send_states(tx, [result.message_id for result in results])
    next_states = [
        (result, resolve_absence(result, now, row.state))
        for result in results
        if (row := rows.get(result.message_id)) is not None
        and result.customer in locked
        and result.message_id not in overtaken
        and (row.customer, row.attempts) == (result.customer, result.number)
    ]
    writes = [(result, state) for result, state in next_states if state]
    await _write_next_states(tx, writes, locked, now)
    return [result.message_id for result, _ in writes]


async def _write_next_states(tx: Tx, writes: NextStates, locked: Mapping[str, VersionedLedger], now: Instant) -> None:
    """Write the next states of messages and of their contacts, under the ledgers' locks."""
    before = {customer: each.ledger for customer, each in locked.items()}
    ledgers = dict(before)
    for result, next_state in writes:
        ledgers[result.customer] = update_ledger(ledgers[result.customer], result.message_id, next_state)
    await store.write_next_states(tx, writes, now)
    await keep_steps(tx, (_step_to(result, state, now) for result, state in writes), now)
    await wake_waiting(tx, [result.message_id for result, state in writes if state.state in _CERTAIN_ENDS], now)
    await _note_dead_addresses(tx, [result for result, _ in writes], now)
    await ledger_store.save_ledger_changes(tx, before, ledgers, now)
    await _explain_failures(tx, writes, now)


def _steps_of_accepted(results: Sequence[AttemptResult], now: Instant) -> Iterator[MessageStep]:
    for each in results:
        detail = each.handover_result.detail
        yield MessageStep(each.message_id, "accepted", now, adapter=each.adapter, detail=detail, of_attempt=True)


def _step_to(result: AttemptResult, state: NextState, now: Instant) -> MessageStep:
    until = state.until if state.state is MessageState.RETRY else None
    return MessageStep(
        *(result.message_id, _STEPS[state.state], now, until, result.adapter or None),
        *(result.handover_result.detail, False, False, True),
        reason=None if state.failure_reason is None else state.failure_reason.value,
    )


async def _note_dead_addresses(tx: Tx, results: Sequence[AttemptResult], now: Instant) -> None:
    """Keep as a receipt that a provider has refused an address at once, because nobody is there or because the customer
    has told it to stop: the do-not-contact entry and the event follow from that (receipts/relay.py).
    """
    for adapter in sorted({result.adapter for result in results}):
        refused = [
            NewReceipt(_refusal(result.handover_result, now), result.customer, _REFUSED_ADDRESSES[fault])
            for result in results
            if result.adapter == adapter and (fault := result.handover_result.fault) in _REFUSED_ADDRESSES
        ]
        if new_keys := await receipt_store.insert_receipts(tx, adapter, refused, now):
            await tx.notify(receipt_store.RECEIPTS_TAKEN)
            await receipt_store.keep_receipts(tx, adapter, refused, new_keys, now)


def _refusal(result: HandoverResult, now: Instant) -> Receipt:
    kind: ReceiptKind = "unsubscribed" if result.fault == "unsubscribed" else "bounced"
    return Receipt(
        f"{receipt_store.OF_HANDOVER}{result.message_id}",
        result.message_id,
        kind,
        now,
        kind == "bounced",
        detail=result.detail,
    )


async def _explain_failures(tx: Tx, writes: NextStates, now: Instant) -> None:
    """Append a decision for each message that the provider refused or that was tried too often."""
    decisions: list[Decision] = []
    for result, next_state in writes:
        if next_state.failure_reason is None:
            continue
        last = await store.load_last_decision(tx, result.customer, result.message_id)
        if last is not None:
            failure = {"outcome": Outcome.FAIL.value, "reason": next_state.failure_reason.value}
            decisions.append(msgspec.structs.replace(last, time=now, until=None, rule_id=None, **failure))
    await ledger_store.insert_decisions(tx, decisions)
