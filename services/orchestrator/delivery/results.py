"""What came of a handover: attempt, message and contact in one transaction.

What was accepted changes its message alone, by one statement that asks whether the attempt is still open. Everything
else is written under the lock of the ledger. A contact is released only by the result of the message's last attempt,
and only while that is open: a result that arrives twice, or after the attempt was closed for its owner, changes
nothing but what was unknown.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Row

from schemas.decision import Decision
from schemas.message import HandoverResult
from schemas.reasons import Reason
from schemas.times import SECOND, Instant
from schemas.vocabulary import MessageState, Outcome
from services.kit.db.database import Tx
from services.orchestrator.decisions import store
from services.orchestrator.delivery import attempts
from services.orchestrator.delivery.attempts import MAYBE_SENT_DETAIL, AcceptedAttempt, ClosedAttempt
from services.orchestrator.delivery.store import TIMER_COLUMNS
from services.orchestrator.policy.ledger import Ledger

MAX_ATTEMPTS = 8
FIRST_BACKOFF = 2 * SECOND
MAX_BACKOFF = 600 * SECOND

NOT_TRIED = ("no_facts", "past_deadline")
"""Details of attempts that ended before a provider was asked: they are repeated until the message expires."""

_DECISION_DECODER = msgspec.msgpack.Decoder(Decision)


class AttemptResult(NamedTuple):
    """How one attempt ended. `idempotent`: the provider dedupes by message id, so the same may be tried again."""

    customer: str
    number: int
    handover_result: HandoverResult
    idempotent: bool
    adapter: str


class NextState(NamedTuple):
    """What becomes of the message and of its contact."""

    state: MessageState
    contact: str
    until: Instant | None = None
    failure_reason: Reason | None = None

    @property
    def maybe_sent(self) -> bool:
        """Whether the message is tried again although an earlier attempt may have arrived."""
        return self.state is MessageState.RETRY and self.contact == "unknown"


_ACCEPTED_STATE = NextState(MessageState.ACCEPTED, "made")


def decide_next_state(result: AttemptResult, now: Instant) -> NextState:
    """What an attempt's end means for the message. Pure."""
    handover_result = result.handover_result
    if handover_result.outcome == "accepted":
        return _ACCEPTED_STATE
    if handover_result.outcome == "rejected":
        return NextState(MessageState.REJECTED, "released", failure_reason=Reason.PROVIDER_REJECTED)
    unknown = handover_result.outcome == "unknown"
    if unknown and not result.idempotent:
        return NextState(MessageState.UNKNOWN, "unknown")
    if result.number >= MAX_ATTEMPTS and handover_result.detail not in NOT_TRIED:
        if unknown:
            return NextState(MessageState.UNKNOWN, "unknown")
        return NextState(MessageState.FAILED, "released", failure_reason=Reason.PROVIDER_EXHAUSTED)
    until = now + backoff(result.number, handover_result.retry_after)
    return NextState(MessageState.RETRY, "unknown" if unknown else "planned", until)


def backoff(number: int, retry_after: float | None) -> int:
    """Microseconds until the next attempt: what the provider asks for, else doubling from two seconds."""
    if retry_after is not None:
        return int(retry_after * SECOND)
    return min(FIRST_BACKOFF << (number - 1), MAX_BACKOFF)


async def record_results(tx: Tx, results: Sequence[AttemptResult], now: Instant) -> None:
    """Write the ends of attempts. What was accepted mostly takes one statement, for its contact stays as it is."""
    accepted = [_to_accepted_attempt(result) for result in results if result.handover_result.outcome == "accepted"]
    in_time = await attempts.accept_attempts(tx, accepted, now)
    rest = [result for result in results if result.handover_result.outcome != "accepted" or not in_time]
    if rest:
        await _record_under_lock(tx, rest, now)


def _to_accepted_attempt(result: AttemptResult) -> AcceptedAttempt:
    handover_result = result.handover_result
    return AcceptedAttempt(
        handover_result.message_id, result.number, result.adapter, handover_result.provider_id, handover_result.detail
    )


async def _record_under_lock(tx: Tx, results: Sequence[AttemptResult], now: Instant) -> None:
    """The ends that change contacts, and those that come late."""
    locked = await store.lock_and_load_ledgers(tx, [result.customer for result in results])
    closed_attempts = [
        ClosedAttempt(
            result.handover_result.message_id,
            result.number,
            result.handover_result.outcome,
            result.handover_result.detail,
        )
        for result in results
    ]
    closed = await attempts.close_attempts(tx, closed_attempts, now)
    rows = await _load_messages(tx, [result.handover_result.message_id for result in results])
    before = {customer: each.ledger for customer, each in locked.items()}
    ledgers = dict(before)
    writes: list[tuple[AttemptResult, NextState]] = []
    for result in results:
        row = rows[result.handover_result.message_id]
        next_state = _resolve_next_state(result, row, (row.message_id, result.number) in closed, now)
        if next_state is not None:
            writes.append((result, next_state))
            ledgers[result.customer] = _update_ledger(ledgers[result.customer], row.message_id, next_state)
    await _write_messages(tx, writes, now)
    await store.save_ledgers(tx, {c: ledger for c, ledger in ledgers.items() if ledger is not before[c]})
    await store.insert_contact_history(
        tx, [row for c, ledger in ledgers.items() for row in store.contact_history_rows(c, before[c], ledger, now)]
    )
    await _explain_failures(tx, writes, now)


def _resolve_next_state(result: AttemptResult, row: Row[Any], was_open: bool, now: Instant) -> NextState | None:
    if was_open:
        return _keep_unknown(decide_next_state(result, now), row)
    late = result.handover_result.outcome == "accepted" and row.state == MessageState.UNKNOWN
    return _ACCEPTED_STATE if late else None


def _keep_unknown(next_state: NextState, row: Row[Any]) -> NextState:
    """A message of which an earlier attempt may have arrived never becomes one that did not."""
    if not row.maybe_sent:
        return next_state
    if next_state.contact == "released":
        return next_state._replace(state=MessageState.UNKNOWN, contact="unknown", failure_reason=None)
    return next_state._replace(contact="unknown") if next_state.contact == "planned" else next_state


def _update_ledger(ledger: Ledger, message_id: str, next_state: NextState) -> Ledger:
    if next_state.contact == "released":
        return ledger.release(message_id)
    if next_state.contact == "planned" and next_state.until is not None:
        contact = ledger.find_contact(message_id)
        return ledger if contact is None else ledger.put_contact(contact._replace(state="planned", at=next_state.until))
    return ledger.set_contact_state(message_id, next_state.contact)  # type: ignore[arg-type]


async def _load_messages(tx: Tx, ids: Sequence[str]) -> Mapping[str, Row[Any]]:
    rows = await tx.rows(
        f"SELECT message_id, state, maybe_sent FROM message WHERE {tx.in_list('message_id', 'ids')}",
        ids=tx.list_parameter(ids),
    )
    return {row.message_id: row for row in rows}


_COLUMN_TYPES = {
    "message_id": "text",
    "state": "text",
    "until": "bigint",
    "adapter": "text",
    "provider_id": "text",
    "detail": "text",
    "maybe_sent": "bigint",
}


async def _write_messages(tx: Tx, writes: Sequence[tuple[AttemptResult, NextState]], now: Instant) -> None:
    if not writes:
        return
    rows = [
        (result.handover_result.message_id, next_state.state.value, next_state.until, result.adapter)
        + (result.handover_result.provider_id, _message_detail(result, next_state), int(next_state.maybe_sent))
        for result, next_state in writes
    ]
    await tx.execute(
        "UPDATE message SET state = n.state, until = n.until, adapter = n.adapter, provider_id = n.provider_id, "
        f"detail = n.detail, maybe_sent = n.maybe_sent, closed_at = :now, updated = :now "
        f"FROM {tx.table_parameter('n', _COLUMN_TYPES)} "
        "WHERE message.message_id = n.message_id",
        now=now,
        **tx.bind_table_parameter("n", _COLUMN_TYPES, rows),
    )
    retried = [(result, next_state.until) for result, next_state in writes if next_state.state is MessageState.RETRY]
    await tx.bulk_insert(
        "timer",
        TIMER_COLUMNS,
        [(result.handover_result.message_id, result.customer, "retry", due, 0) for result, due in retried],
    )


def _message_detail(result: AttemptResult, next_state: NextState) -> str | None:
    return MAYBE_SENT_DETAIL if next_state.maybe_sent else result.handover_result.detail


async def _explain_failures(tx: Tx, writes: Sequence[tuple[AttemptResult, NextState]], now: Instant) -> None:
    """A decision line for each message that the provider will not have."""
    decisions: list[Decision] = []
    for result, next_state in writes:
        if next_state.failure_reason is None:
            continue
        row = await tx.row(
            "SELECT body FROM decision WHERE customer = :customer AND message_id = :message_id "
            "ORDER BY decision_id DESC LIMIT 1",
            customer=result.customer,
            message_id=result.handover_result.message_id,
        )
        if row is not None:
            last = _DECISION_DECODER.decode(row.body)
            decisions.append(
                msgspec.structs.replace(
                    last,
                    time=now,
                    outcome=Outcome.FAIL.value,
                    reason=next_state.failure_reason.value,
                    until=None,
                    rule_id=None,
                )
            )
    await store.insert_decisions(tx, decisions)
