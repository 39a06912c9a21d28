"""Messages and their states. Every write here happens under the lock of the customer's ledger row."""

from collections.abc import Sequence

import msgspec

from schemas.times import Instant
from schemas.vocabulary import MessageState, Outcome
from services.kit.db.database import Tx
from services.orchestrator.decisions.evaluation import Ready, Waiting, Work
from services.orchestrator.decisions.store import shard_of
from services.orchestrator.holds.store import PARKING, WITH_AN_END
from services.orchestrator.policy.decide import Planned
from services.orchestrator.policy.rules import hold
from services.orchestrator.policy.verdicts import DEFER

MESSAGE = (
    *("message_id", "customer", "campaign", "version", "policy_version", "channel", "cls", "intent", "topic"),
    *("priority", "event_source", "event_id", "state", "since", "until", "expires_at", "attempts"),
    *("owner", "marked_at", "opened", "address_hash", "to_address", "locale", "created", "updated"),
)
_CHANGING = ("version", "policy_version", "state", "since", "until", "to_address", "locale", "updated")
_UPSERT = (
    f"INSERT INTO message ({', '.join(MESSAGE)}) VALUES ({', '.join(':' + name for name in MESSAGE)}) "
    f"ON CONFLICT (message_id) DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in _CHANGING)}"
)
CONTENT = ("message_id", "content")
_UPSERT_CONTENT = (
    "INSERT INTO message_content (message_id, content) VALUES (:message_id, :content) "
    "ON CONFLICT (message_id) DO UPDATE SET content = excluded.content"
)
OUTBOX = ("shard", "channel", "message_id", "customer")
TIMER = ("message_id", "customer", "kind", "due", "claimed_until")
PARKED = ("message_id", "cause", "name", "customer")
_UNMARKED = (None, None, None, None)


def _row(work: Work, planned: Planned, ready: Ready | None, now: Instant) -> tuple[object, ...]:
    campaign, event = planned.touch.campaign, planned.touch.event
    policy_version = work.facts.policy.version
    content = None if ready is None else ready.content
    mark = work.marked.get(planned.message_id)
    if mark is not None:
        state = MessageState.HANDING_OVER
    elif ready is not None:
        state = MessageState.PENDING
    else:
        state = MessageState.PLANNED if planned.parked is None else MessageState.PARKED
    return (
        *(planned.message_id, event.subject, campaign.key, campaign.version, policy_version, planned.channel),
        *(campaign.cls, campaign.intent, campaign.topic, campaign.priority, event.source, event.id, state.value),
        *(planned.since, planned.until, planned.expires_at, int(mark is not None)),
        *(_UNMARKED if mark is None else mark),
        None if content is None else content.to,
        None if content is None else content.locale,
        *(now, now),
    )


async def keep(tx: Tx, works: Sequence[Work], now: Instant) -> None:
    """Write the messages that came of these judgements, their outbox rows and their timers."""
    fresh: list[tuple[object, ...]] = []
    known: list[tuple[object, ...]] = []
    outbox: list[tuple[object, ...]] = []
    for work in works:
        rows = known if work.again else fresh
        rows += [_row(work, item.planned, item, now) for item in work.ready]
        rows += [_row(work, item.planned, None, now) for item in work.waiting]
        outbox += [
            (shard_of(work.customer), item.planned.channel, item.planned.message_id, work.customer)
            for item in work.ready
            if item.planned.message_id not in work.marked
        ]
    await tx.insert("message", MESSAGE, fresh)
    await tx.run_many(_UPSERT, [dict(zip(MESSAGE, row, strict=True)) for row in known])
    await _keep_contents(tx, works)
    await tx.insert("outbox", OUTBOX, outbox)
    await _end(tx, works, now)
    await _wake(tx, works)


async def _keep_contents(tx: Tx, works: Sequence[Work]) -> None:
    """What the messages that may go say. One that waits again says nothing: it is rendered anew when it may go."""
    said: list[tuple[str, bytes]] = []
    said_again: list[dict[str, object]] = []
    unsaid: list[str] = []
    for work in works:
        contents = [(item.planned.message_id, msgspec.json.encode(item.content.fields)) for item in work.ready]
        if not work.again:
            said += contents
            continue
        said_again += [dict(zip(CONTENT, row, strict=True)) for row in contents]
        unsaid += [item.planned.message_id for item in work.waiting]
    await tx.insert("message_content", CONTENT, said)
    await tx.run_many(_UPSERT_CONTENT, said_again)
    if unsaid:
        await tx.run(f"DELETE FROM message_content WHERE {tx.among('message_id', 'ids')}", ids=tx.array(unsaid))


async def _end(tx: Tx, works: Sequence[Work], now: Instant) -> None:
    ends = [
        {"message_id": message, "state": _END[outcome].value, "detail": reason, "now": now}
        for work in works
        for message, (outcome, reason) in work.ended.items()
    ]
    await tx.run_many(
        "UPDATE message SET state = :state, detail = :detail, until = NULL, updated = :now "
        "WHERE message_id = :message_id",
        ends,
    )


_END = {Outcome.SUPPRESS.value: MessageState.SUPPRESSED, Outcome.FAIL.value: MessageState.FAILED}


async def _wake(tx: Tx, works: Sequence[Work]) -> None:
    """Take away the timers of what was judged, and set those of what waits."""
    judged = [message for work in works for message in work.again]
    for table in ("timer", "parked") if judged else ():
        await tx.run(f"DELETE FROM {table} WHERE {tx.among('message_id', 'ids')}", ids=tx.array(judged))
    waiting = [(work, item) for work in works for item in work.waiting]
    await tx.insert("timer", TIMER, [_timer(work.customer, item) for work, item in waiting])
    await tx.insert("parked", PARKED, [row for work, item in waiting for row in _causes(work, item)])


def _timer(customer: str, item: Waiting) -> tuple[object, ...]:
    planned = item.planned
    due = planned.until if planned.parked is None else planned.parked.wake_at
    return planned.message_id, customer, item.decision.reason, due, 0


def _causes(work: Work, item: Waiting) -> list[tuple[object, ...]]:
    parked = item.planned.parked
    if parked is None:
        causes = [(WITH_AN_END, key) for key in _ending_holds(work, item)]
    else:
        causes = [(PARKING, key) for key in parked.holds]
        causes += [("situation", f"{kind}\n{ref}") for kind, ref in sorted(set(parked.situations))]
    return [(item.planned.message_id, cause, name, work.customer) for cause, name in causes]


def _ending_holds(work: Work, item: Waiting) -> list[str]:
    """Everybody's holds whose end the message waits for, now or at a later jump: lifted, they end earlier."""
    known = {held.key for held in work.facts.holds}
    if not known:
        return []
    verdicts, jumps = item.decision.verdicts, item.decision.jumps
    named = {verdict.id for verdict in verdicts if verdict.rule == hold.NAME and verdict.verdict == DEFER}
    return sorted(known & (named | {jump.id for jump in jumps if jump.rule == hold.NAME}))


async def wake_parked(tx: Tx, customers: Sequence[str], now: Instant) -> None:
    """A situation of these customers may have ended: judge what it parked at once."""
    await tx.run(
        "UPDATE timer SET due = :now WHERE due > :now AND message_id IN (SELECT message_id FROM parked "
        f"WHERE cause = 'situation' AND {tx.among('customer', 'customers')})",
        now=now,
        customers=tx.array(customers),
    )


async def states(tx: Tx, messages: Sequence[str]) -> dict[str, str]:
    """The states of these messages; an unknown one is absent."""
    if not messages:
        return {}
    rows = await tx.rows(
        f"SELECT message_id, state FROM message WHERE {tx.among('message_id', 'ids')}", ids=tx.array(messages)
    )
    return {row.message_id: row.state for row in rows}
