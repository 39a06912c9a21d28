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
from schemas.message import Handed
from schemas.times import SECOND, Instant
from schemas.vocabulary import MessageState, Outcome, Reason
from services.kit.db.database import Tx
from services.orchestrator.decisions import store
from services.orchestrator.delivery import attempts
from services.orchestrator.delivery.attempts import MAYBE_SENT, Accepted, Closing
from services.orchestrator.delivery.store import TIMER
from services.orchestrator.policy.ledger import Ledger

MOST_ATTEMPTS = 8
FIRST_BACKOFF = 2 * SECOND
LONGEST_BACKOFF = 600 * SECOND

NOT_TRIED = ("no_facts", "past_deadline")
"""Details of attempts that ended before a provider was asked: they are repeated until the message expires."""

_DECISION = msgspec.msgpack.Decoder(Decision)


class Result(NamedTuple):
    """How one attempt ended. `idempotent`: the provider dedupes by message id, so the same may be tried again."""

    customer: str
    number: int
    handed: Handed
    idempotent: bool
    adapter: str


class Next(NamedTuple):
    """What becomes of the message and of its contact."""

    state: MessageState
    contact: str
    until: Instant | None = None
    failed: Reason | None = None


_MADE = Next(MessageState.ACCEPTED, "made")


def follow(result: Result, now: Instant) -> Next:
    """What an attempt's end means for the message. Pure."""
    handed = result.handed
    if handed.outcome == "accepted":
        return _MADE
    if handed.outcome == "rejected":
        return Next(MessageState.REJECTED, "released", failed=Reason.PROVIDER_REJECTED)
    unknown = handed.outcome == "unknown"
    if unknown and not result.idempotent:
        return Next(MessageState.UNKNOWN, "unknown")
    if result.number >= MOST_ATTEMPTS and handed.detail not in NOT_TRIED:
        if unknown:
            return Next(MessageState.UNKNOWN, "unknown")
        return Next(MessageState.FAILED, "released", failed=Reason.PROVIDER_EXHAUSTED)
    until = now + backoff(result.number, handed.retry_after)
    return Next(MessageState.RETRY, "unknown" if unknown else "planned", until)


def backoff(number: int, retry_after: float | None) -> int:
    """Microseconds until the next attempt: what the provider asks for, else doubling from two seconds."""
    if retry_after is not None:
        return int(retry_after * SECOND)
    return min(FIRST_BACKOFF << (number - 1), LONGEST_BACKOFF)


async def settle(tx: Tx, results: Sequence[Result], now: Instant) -> None:
    """Write the ends of attempts. What was accepted mostly takes one statement, for its contact stays as it is."""
    taken = [_accepted(result) for result in results if result.handed.outcome == "accepted"]
    in_time = await attempts.accept_all(tx, taken, now)
    rest = [result for result in results if result.handed.outcome != "accepted" or not in_time]
    if rest:
        await _settle(tx, rest, now)


def _accepted(result: Result) -> Accepted:
    handed = result.handed
    return Accepted(handed.message_id, result.number, result.adapter, handed.provider_id, handed.detail)


async def _settle(tx: Tx, results: Sequence[Result], now: Instant) -> None:
    """The ends that change contacts, and those that come late."""
    held = await store.lock_and_read(tx, [result.customer for result in results])
    closings = [
        Closing(result.handed.message_id, result.number, result.handed.outcome, result.handed.detail)
        for result in results
    ]
    closed = await attempts.close_all(tx, closings, now)
    rows = await _messages(tx, [result.handed.message_id for result in results])
    before = {customer: each.ledger for customer, each in held.items()}
    ledgers = dict(before)
    writes: list[tuple[Result, Next]] = []
    for result in results:
        row = rows[result.handed.message_id]
        following = _following(result, row, (row.message_id, result.number) in closed, now)
        if following is not None:
            writes.append((result, following))
            ledgers[result.customer] = _moved(ledgers[result.customer], row.message_id, following)
    await _write_messages(tx, writes, now)
    await store.save_ledgers(tx, {c: ledger for c, ledger in ledgers.items() if ledger is not before[c]})
    await store.keep_history(
        tx, [row for c, ledger in ledgers.items() for row in store.history(c, before[c], ledger, now)]
    )
    await _explain_failures(tx, writes, now)


def _following(result: Result, row: Row[Any], was_open: bool, now: Instant) -> Next | None:
    if was_open:
        return _once_unknown(follow(result, now), row)
    late = result.handed.outcome == "accepted" and row.state == MessageState.UNKNOWN
    return _MADE if late else None


def _once_unknown(following: Next, row: Row[Any]) -> Next:
    """A message of which an earlier attempt may have arrived never becomes one that did not."""
    if row.detail != MAYBE_SENT:
        return following
    if following.contact == "released":
        return following._replace(state=MessageState.UNKNOWN, contact="unknown", failed=None)
    return following._replace(contact="unknown") if following.contact == "planned" else following


def _moved(ledger: Ledger, message_id: str, following: Next) -> Ledger:
    if following.contact == "released":
        return ledger.release(message_id)
    if following.contact == "planned" and following.until is not None:
        contact = ledger.find(message_id)
        return ledger if contact is None else ledger.plan(contact._replace(state="planned", at=following.until))
    return ledger.settle(message_id, following.contact)  # type: ignore[arg-type]


async def _messages(tx: Tx, ids: Sequence[str]) -> Mapping[str, Row[Any]]:
    rows = await tx.rows(
        f"SELECT message_id, state, detail FROM message WHERE {tx.among('message_id', 'ids')}",
        ids=tx.array(ids),
    )
    return {row.message_id: row for row in rows}


_KINDS = {
    "message_id": "text",
    "state": "text",
    "until": "bigint",
    "adapter": "text",
    "provider_id": "text",
    "detail": "text",
}


async def _write_messages(tx: Tx, writes: Sequence[tuple[Result, Next]], now: Instant) -> None:
    if not writes:
        return
    rows = [
        (result.handed.message_id, following.state.value, following.until, result.adapter)
        + (result.handed.provider_id, _detail(result, following))
        for result, following in writes
    ]
    await tx.run(
        "UPDATE message SET state = n.state, until = n.until, adapter = n.adapter, provider_id = n.provider_id, "
        f"detail = n.detail, closed_at = :now, updated = :now FROM {tx.table('n', _KINDS)} "
        "WHERE message.message_id = n.message_id",
        now=now,
        **tx.bind_table("n", _KINDS, rows),
    )
    retried = [(result, following.until) for result, following in writes if following.state is MessageState.RETRY]
    await tx.insert(
        "timer", TIMER, [(result.handed.message_id, result.customer, "retry", due, 0) for result, due in retried]
    )


def _detail(result: Result, following: Next) -> str | None:
    if following.state is MessageState.RETRY and following.contact == "unknown":
        return MAYBE_SENT
    return result.handed.detail


async def _explain_failures(tx: Tx, writes: Sequence[tuple[Result, Next]], now: Instant) -> None:
    """A decision line for each message that the provider will not have."""
    lines: list[Decision] = []
    for result, following in writes:
        if following.failed is None:
            continue
        row = await tx.row(
            "SELECT body FROM decision WHERE customer = :customer AND message_id = :message_id "
            "ORDER BY decision_id DESC LIMIT 1",
            customer=result.customer,
            message_id=result.handed.message_id,
        )
        if row is not None:
            last = _DECISION.decode(row.body)
            lines.append(
                msgspec.structs.replace(
                    last, time=now, outcome=Outcome.FAIL.value, reason=following.failed.value, until=None, rule_id=None
                )
            )
    await store.keep_decisions(tx, lines)
