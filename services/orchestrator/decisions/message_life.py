"""Leaves each step in the life of a message for the topic `tactful.messages`, in the transaction that takes the step.

Whoever changes what becomes of a message calls one of these functions, under the lock of the customer's ledger and
after it has written the change. While the topic is off they do nothing. Two steps need no lock, as they change no
contact. That a provider has accepted a message: only receipts can come in between. And that a fresh event leads to no
message that may be sent: nothing was said of that message before, and nothing follows.
"""

import secrets
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from schemas.decision import Decision
from schemas.out_topics import STRUCTURED_HEADERS, MessageChange, MessageChangeKind, message_event
from schemas.times import Instant
from schemas.topics import MESSAGES
from schemas.vocabulary import Outcome
from services.kit.bus.outgoing import keep_outgoing, lock_outgoing, replace_body
from services.kit.bus.protocol import Outgoing
from services.kit.db.database import Tx
from services.orchestrator.decisions.evaluation import CustomerEvaluation
from services.orchestrator.decisions.store import ERASED_SOURCE

_KINDS: Final[Mapping[str, MessageChangeKind]] = {
    Outcome.SEND.value: "decided",
    Outcome.DEFER.value: "deferred",
    Outcome.SUPPRESS.value: "suppressed",
    Outcome.FAIL.value: "failed",
}
_MOST_FORGOTTEN: Final = 100


class KeptChanges(msgspec.Struct, frozen=True, array_like=True):
    """A row of `outgoing`. `token` makes the ids of its events: they are the same whenever it is published."""

    token: str
    changes: tuple[MessageChange, ...]


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(KeptChanges).decode


class MessageStep(NamedTuple):
    """A step of a message that is stored. `of_attempt`: whether the number of its last attempt belongs to it."""

    message_id: str
    kind: MessageChangeKind
    at: Instant
    until: Instant | None = None
    adapter: str | None = None
    detail: str | None = None
    permanent: bool = False
    by_machine: bool = False
    of_attempt: bool = False
    reason: str | None = None


async def keep_evaluations(tx: Tx, evaluations: Sequence[CustomerEvaluation], now: Instant) -> None:
    """Keep what was decided, and which of the messages were claimed at once."""
    if MESSAGES.name not in tx.out_topics:
        return
    changes = await tx.loop_share.collect(
        _of_decision(decision) for evaluation in evaluations for decision in evaluation.decisions
    )
    claims = {id: claim.handover_id for evaluation in evaluations for id, claim in evaluation.claims.items()}
    if claims:
        adapters = await _load_adapters(tx, sorted(set(claims.values())))
        changes += [
            msgspec.structs.replace(
                each, kind="handing_over", at=now, reason=None, attempt=1, adapter=adapters.get(claims[each.message_id])
            )
            for each in changes
            if each.kind == "decided" and each.message_id in claims
        ]
    await _keep(tx, changes, now)


def _of_decision(d: Decision) -> MessageChange:
    return MessageChange(
        *(_KINDS[d.outcome], d.time, d.customer, d.message_id, d.campaign, d.version, d.channel, d.cls, d.topic),
        *(d.event.source, d.event.id, d.reason, d.until),
    )


async def _load_adapters(tx: Tx, handovers: Sequence[int]) -> dict[int, str | None]:
    return dict(
        await tx.tuples(
            f"SELECT handover_id, adapter FROM handover WHERE {tx.in_list('handover_id', 'ids', 'bigint')}",
            ids=tx.list_parameter(handovers),
        )
    )


async def keep_steps(tx: Tx, steps: Iterable[MessageStep], now: Instant) -> None:
    """Keep these steps, in this order. Those of erased customers are left out."""
    if MESSAGES.name not in tx.out_topics:
        return
    steps = list(steps)
    if not steps:
        return
    rows = await tx.rows(
        "SELECT message_id, customer, campaign, version, channel, cls, topic, event_source, event_id, attempts "
        f"FROM message WHERE event_source <> :erased AND {tx.in_list('message_id', 'ids')}",
        erased=ERASED_SOURCE,
        ids=tx.list_parameter(sorted({each.message_id for each in steps})),
    )
    messages = {row.message_id: row for row in rows}
    changes = [_of_step(each, messages[each.message_id]) for each in steps if each.message_id in messages]
    await _keep(tx, changes, now)


def _of_step(step: MessageStep, message: Any) -> MessageChange:
    return MessageChange(
        *(step.kind, step.at, message.customer, message.message_id, message.campaign, message.version),
        *(message.channel, message.cls, message.topic, message.event_source, message.event_id),
        reason=step.reason,
        until=step.until,
        adapter=step.adapter,
        attempt=message.attempts if step.of_attempt else None,
        detail=step.detail,
        permanent=step.permanent,
        by_machine=step.by_machine,
    )


async def _keep(tx: Tx, changes: Sequence[MessageChange], now: Instant) -> None:
    if changes:
        body = _encode(KeptChanges(secrets.token_hex(12), tuple(changes)))
        await keep_outgoing(tx, tx.out_topics[MESSAGES.name], body, now)


def render_changes(topic: str, body: bytes) -> list[Outgoing]:
    """The records of a row, without those that were blanked."""
    kept = _decode(body)
    return [
        Outgoing(topic, each.customer.encode(), message_event(each, f"{kept.token}-{number}"), STRUCTURED_HEADERS)
        for number, each in enumerate(kept.changes)
        if each.customer
    ]


async def forget_customer(tx: Tx, customer: str) -> int:
    """Blank some of what waits to be published about a customer; returns how many rows held something, 0 once none
    does. The other records of a row keep their ids, as they may be in the log already.
    """

    def concerns(row: Any) -> bool:
        return any(each.customer == customer for each in _decode(row.body).changes)

    rows = await lock_outgoing(tx, concerns, _MOST_FORGOTTEN)
    for row in rows:
        kept = _decode(row.body)
        changes = tuple(_blank(each) if each.customer == customer else each for each in kept.changes)
        await replace_body(tx, row.seq, _encode(KeptChanges(kept.token, changes)))
    return len(rows)


def _blank(change: MessageChange) -> MessageChange:
    return msgspec.structs.replace(change, customer="", event_source="", event_id="", detail=None)
