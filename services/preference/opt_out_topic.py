"""Leaves what customers opt out of for the topic `tactful.optouts`, in the transaction that changes it.

A record has all present opt-outs of its customer, so the newest one is all that a reader needs, and the topic is
compacted by customer. An erasure leaves a record without a value, by which Kafka drops what was there. Everything is
kept under the lock of the customer's state. While the topic is off nothing is.
"""

import secrets
from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

import msgspec
from msgspec.structs import replace
from sqlalchemy import Row

from schemas.facts import Preference
from schemas.out_topics import STRUCTURED_HEADERS, OptOutItem, OptOutsData, opt_outs_event
from schemas.times import Instant, format_instant
from schemas.topics import OPT_OUTS
from services.erasure.eraser import Subject
from services.kit.bus.outgoing import keep_outgoing, lock_outgoing, replace_body
from services.kit.bus.protocol import Outgoing
from services.kit.db.database import Tx

_MOST_FORGOTTEN: Final = 100


class _OptOuts(msgspec.Struct, frozen=True, array_like=True):
    """What is kept of a customer. `data`: None once the customer is erased. A blank customer is not published."""

    customer: str
    at: Instant
    data: OptOutsData | None


class KeptOptOuts(msgspec.Struct, frozen=True, array_like=True):
    token: str
    items: tuple[_OptOuts, ...]


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(KeptOptOuts).decode


class PreferenceEdit(NamedTuple):
    """What a customer's preferences were before an edit, and what they are after it."""

    before: Preference
    after: Preference
    recorded: Instant


async def keep_opt_outs(tx: Tx, edits: Sequence[PreferenceEdit]) -> None:
    """Keep the opt-outs of those customers for whom these edits, in order, have changed them."""
    if OPT_OUTS.name not in tx.out_topics or not edits:
        return
    before = {edit.before.customer: edit.before for edit in reversed(edits)}
    last = {edit.after.customer: edit for edit in edits}
    changed = [
        _OptOuts(customer, edit.recorded, _data(edit.after))
        for customer, edit in last.items()
        if _refusals(before[customer]) != _refusals(edit.after)
    ]
    await _keep(tx, changed, edits[-1].recorded)


async def keep_erasure(tx: Tx, customer: str, now: Instant) -> None:
    """Keep that nothing is to be known of the customer any more."""
    if OPT_OUTS.name in tx.out_topics:
        await _keep(tx, [_OptOuts(customer, now, None)], now)


async def keep_present(tx: Tx, preferences: Iterable[Preference], now: Instant, *, even_none: bool) -> int:
    """Keep the present opt-outs of these customers; returns of how many. `even_none`: also of those without any."""
    items = [
        _OptOuts(each.customer, now, _data(each)) for each in preferences if even_none or _refusals(each) != ((), None)
    ]
    await _keep(tx, items, now)
    return len(items)


def _refusals(preference: Preference) -> tuple[object, object]:
    return preference.opt_outs, preference.paused_until


def _data(preference: Preference) -> OptOutsData:
    until = preference.paused_until
    return OptOutsData(
        preference.version,
        tuple(OptOutItem(each.all, each.cls, each.channel, each.topic) for each in preference.opt_outs),
        None if until is None else format_instant(until),
    )


async def _keep(tx: Tx, items: Sequence[_OptOuts], now: Instant) -> None:
    if items:
        await keep_outgoing(
            tx, tx.out_topics[OPT_OUTS.name], _encode(KeptOptOuts(secrets.token_hex(12), tuple(items))), now
        )


def render_opt_outs(topic: str, body: bytes) -> list[Outgoing]:
    """The records of a row, without those that were blanked."""
    kept = _decode(body)
    return [
        Outgoing(topic, each.customer.encode(), _value(each, f"{kept.token}-{number}"), STRUCTURED_HEADERS)
        for number, each in enumerate(kept.items)
        if each.customer
    ]


def _value(item: _OptOuts, event_id: str) -> bytes | None:
    return None if item.data is None else opt_outs_event(item.customer, item.data, item.at, event_id)


async def forget_outgoing(tx: Tx, subject: Subject) -> int | None:
    """Step of an erasure: blank some of the customer's opt-outs that wait to be published, and wait until the topic has
    been told to drop those that were. Where the topic is off, nobody will tell it.
    """
    topics, waits = set(tx.out_topics.values()), False

    def is_gone(item: _OptOuts, row: Row[Any]) -> bool:
        return item.customer == subject.customer and (item.data is not None or row.topic not in topics)

    def concerns(row: Row[Any]) -> bool:
        nonlocal waits
        own = [each for each in _decode(row.body).items if each.customer == subject.customer]
        waits |= any(not is_gone(each, row) for each in own)
        return any(is_gone(each, row) for each in own)

    rows = await lock_outgoing(tx, concerns, _MOST_FORGOTTEN)
    for row in rows:
        kept = _decode(row.body)
        items = tuple(replace(each, customer="") if is_gone(each, row) else each for each in kept.items)
        await replace_body(tx, row.seq, _encode(KeptOptOuts(kept.token, items)))
    return subject.note("outgoing", len(rows)) or (None if waits else 0)
