"""SQL that writes what evaluations plan: messages with their contents, outbox rows, timers and what parks them.

Every write here happens under the lock of the customer's ledger row, except `wake_parked` and `wake_waiting`, which
only make timers due earlier. Claims and attempts: `delivery/store.py`.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec

from schemas.times import SECOND, Instant
from schemas.vocabulary import MessageState, Outcome
from services.kit.db.database import Tx
from services.kit.db.notifications import FALLBACK_INTERVAL
from services.orchestrator.decisions.evaluation import CustomerEvaluation, DeferredMessage, ReadyMessage
from services.orchestrator.decisions.store import shard_of
from services.orchestrator.policy.decide import PlannedMessage
from services.orchestrator.policy.rules.registry import HOLD_RULES
from services.orchestrator.policy.verdicts import DEFER

MESSAGE_COLUMNS = (
    *("message_id", "customer", "campaign", "version", "policy_version", "channel", "cls", "intent", "topic"),
    *("priority", "event_source", "event_id", "state", "since", "until", "expires_at", "attempts"),
    *("handover_id", "address_hash", "to_address", "locale", "created", "updated", "content"),
)
_MUTABLE_COLUMNS = (
    *("version", "policy_version", "state", "since", "until", "to_address", "locale", "updated", "content"),
)
_UPSERT = (
    f"INSERT INTO message ({', '.join(MESSAGE_COLUMNS)}) VALUES ({', '.join(':' + name for name in MESSAGE_COLUMNS)}) "
    f"ON CONFLICT (message_id) DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in _MUTABLE_COLUMNS)}"
)
OUTBOX_COLUMNS = ("shard", "channel", "message_id", "customer")
PARKED_COLUMNS = ("message_id", "cause", "name", "customer")
_UNCLAIMED = (None, None)

OUTBOX_GROWN: Final = "outbox_grown"
"""The channel of notifications that dispatchers listen to."""
TIMER_NEAR: Final = "timer_near"
"""The channel of notifications that schedulers listen to."""

CAUSE_HOLD: Final = "hold"
"""Cause in `parked` of a message that a hold without an end keeps back: it has no time to wait for."""
CAUSE_HOLD_UNTIL: Final = "hold_until"
"""Cause in `parked` of a message that waits for the end of a hold, now or after another wait."""
CAUSE_SITUATION: Final = "situation"
"""Cause in `parked` of a message that waits until a situation of its customer is closed."""

CAUSE_MESSAGE: Final = "message"
"""Cause in `parked` of a message of a campaign that falls back: it waits for what becomes of the message in `name`. One
that waits for no other names itself, because all of them are known by this.
"""


class TimerRow(NamedTuple):
    """When a waiting message is to be evaluated again, and why it waits."""

    message_id: str
    customer: str
    kind: str
    due: Instant
    claimed_until: Instant = 0


async def add_to_outbox(tx: Tx, rows: Sequence[tuple[object, ...]]) -> None:
    """Add messages to the outbox, and notify the dispatchers. Columns: `OUTBOX_COLUMNS`."""
    if rows:
        await tx.bulk_insert("outbox", OUTBOX_COLUMNS, rows)
        await tx.notify(OUTBOX_GROWN)


async def add_timers(tx: Tx, timers: Sequence[TimerRow], now: Instant) -> None:
    """Add timers, and notify the schedulers if one is due before they look anyway."""
    await tx.bulk_insert("timer", TimerRow._fields, timers)
    if any(timer.due < now + FALLBACK_INTERVAL * SECOND for timer in timers):
        await tx.notify(TIMER_NEAR)


def _message_row(
    evaluation: CustomerEvaluation, planned: PlannedMessage, ready: ReadyMessage | None, now: Instant
) -> tuple[object, ...]:
    campaign, event = planned.triggered.campaign, planned.triggered.event
    policy_version = evaluation.facts.policy.version
    message = None if ready is None else ready.message
    claim = evaluation.claims.get(planned.message_id)
    if claim is not None:
        state = MessageState.HANDING_OVER
    elif ready is not None:
        state = MessageState.PENDING
    else:
        state = MessageState.PLANNED if planned.parked is None else MessageState.PARKED
    return (
        *(planned.message_id, event.subject, campaign.key, campaign.version, policy_version, planned.channel),
        *(campaign.cls, campaign.intent, campaign.topic, campaign.priority, event.source, event.id, state.value),
        *(planned.first_planned, planned.until, planned.expires_at, int(claim is not None)),
        *(_UNCLAIMED if claim is None else claim),
        None if message is None else message.to,
        None if message is None else message.locale,
        *(now, now),
        None if message is None else msgspec.json.encode(message.content),
    )


async def write_messages(tx: Tx, evaluations: Sequence[CustomerEvaluation], now: Instant) -> None:
    """Write the messages of these evaluations, their outbox rows and timers.

    A deferred message has no content: it is rendered again when it may be sent.
    """
    new_rows: list[tuple[object, ...]] = []
    known: list[tuple[object, ...]] = []
    outbox: list[tuple[object, ...]] = []
    for evaluation in evaluations:
        await tx.loop_share.give_turn_if_due()
        # Fresh messages are copied in, the fast way. An evaluation of a waiting message may meet its row, so: upsert.
        rows = known if evaluation.expected_states else new_rows
        rows += [_message_row(evaluation, item.planned, item, now) for item in evaluation.ready_messages]
        rows += [_message_row(evaluation, item.planned, None, now) for item in evaluation.deferred_messages]
        rows += [_message_row(evaluation, planned, None, now) for planned in evaluation.failed_messages]
        outbox += [
            (shard_of(evaluation.customer), item.planned.channel, item.planned.message_id, evaluation.customer)
            for item in evaluation.ready_messages
            if item.planned.message_id not in evaluation.claims
        ]
    await tx.bulk_insert("message", MESSAGE_COLUMNS, new_rows)
    await tx.execute_many(_UPSERT, [dict(zip(MESSAGE_COLUMNS, row, strict=True)) for row in known])
    await add_to_outbox(tx, outbox)
    await _write_final_states(tx, evaluations, now)
    await _replace_timers(tx, evaluations, now)


async def _write_final_states(tx: Tx, evaluations: Sequence[CustomerEvaluation], now: Instant) -> None:
    ends = [
        {"message_id": message_id, "state": _FINAL_STATES[outcome].value, "detail": reason, "now": now}
        for evaluation in evaluations
        for message_id, (outcome, reason) in evaluation.final_outcomes.items()
    ]
    await tx.execute_many(
        "UPDATE message SET state = :state, detail = :detail, until = NULL, updated = :now "
        "WHERE message_id = :message_id",
        ends,
    )


_FINAL_STATES = {Outcome.SUPPRESS.value: MessageState.SUPPRESSED, Outcome.FAIL.value: MessageState.FAILED}


async def _replace_timers(tx: Tx, evaluations: Sequence[CustomerEvaluation], now: Instant) -> None:
    """Delete the timers of messages that were evaluated again, and set those of messages that wait."""
    reevaluated = [message_id for evaluation in evaluations for message_id in evaluation.expected_states]
    for table in ("timer", "parked") if reevaluated else ():
        await tx.execute(
            f"DELETE FROM {table} WHERE {tx.in_list('message_id', 'ids')}", ids=tx.list_parameter(reevaluated)
        )
    deferred = [(evaluation, item) for evaluation in evaluations for item in evaluation.deferred_messages]
    await add_timers(tx, [_timer_row(evaluation.customer, item) for evaluation, item in deferred], now)
    await tx.bulk_insert(
        "parked", PARKED_COLUMNS, [row for evaluation, item in deferred for row in _parked_rows(evaluation, item)]
    )


def _timer_row(customer: str, item: DeferredMessage) -> TimerRow:
    planned = item.planned
    due = planned.until if planned.parked is None else planned.parked.wake_at
    assert due is not None
    return TimerRow(planned.message_id, customer, item.decision.reason, due)


def _parked_rows(evaluation: CustomerEvaluation, item: DeferredMessage) -> list[tuple[object, ...]]:
    parked = item.planned.parked
    if parked is None:
        causes = [(CAUSE_HOLD_UNTIL, key) for key in _ending_holds(evaluation, item)]
    else:
        causes = [(CAUSE_HOLD, key) for key in parked.holds]
        causes += [(CAUSE_SITUATION, f"{kind}\n{ref}") for kind, ref in sorted(set(parked.situations))]
    causes += [(CAUSE_MESSAGE, message_id) for message_id in item.planned.woken_by]
    return [(item.planned.message_id, cause, name, evaluation.customer) for cause, name in causes]


def _ending_holds(evaluation: CustomerEvaluation, item: DeferredMessage) -> list[str]:
    """Holds on everybody whose end the message waits for, now or after another wait: lifting them wakes it earlier."""
    known = {active.key for active in evaluation.facts.holds}
    if not known:
        return []
    verdicts, jumps = item.decision.verdicts, item.decision.jumps
    waited_for = {verdict.id for verdict in verdicts if verdict.rule in HOLD_RULES and verdict.verdict == DEFER}
    return sorted(known & (waited_for | {jump.id for jump in jumps if jump.rule in HOLD_RULES}))


async def wake_parked(tx: Tx, customers: Sequence[str], now: Instant) -> None:
    """Make due at once what situations of these customers park: one of them may have ended."""
    woken = await tx.execute(
        "UPDATE timer SET due = :now WHERE due > :now AND message_id IN (SELECT message_id FROM parked "
        f"WHERE cause = 'situation' AND {tx.in_list('customer', 'customers')})",
        now=now,
        customers=tx.list_parameter(customers),
    )
    if woken:
        await tx.notify(TIMER_NEAR)


async def wake_waiting(tx: Tx, messages: Sequence[str], now: Instant) -> None:
    """Make due at once what waits for one of these messages: it is confirmed, or certainly will not be."""
    if not messages:
        return
    woken = await tx.execute(
        "UPDATE timer SET due = :now WHERE due > :now AND message_id IN (SELECT message_id FROM parked "
        f"WHERE cause = 'message' AND {tx.in_list('name', 'names')})",
        now=now,
        names=tx.list_parameter(sorted(messages)),
    )
    if woken:
        await tx.notify(TIMER_NEAR)


async def load_message_states(tx: Tx, messages: Sequence[str]) -> dict[str, str]:
    """The states of these messages; an unknown message is absent."""
    if not messages:
        return {}
    rows = await tx.rows(
        f"SELECT message_id, state FROM message WHERE {tx.in_list('message_id', 'ids')}",
        ids=tx.list_parameter(messages),
    )
    return {row.message_id: row.state for row in rows}
