"""The policy's situations as handed over, the history of what they opened and closed, and what is settled once."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from schemas.facts import HoldFact
from schemas.times import Instant
from services.kit.bus.protocol import Record
from services.kit.db.database import Tx
from services.suppression.situation_intervals import Change

Document = dict[str, Any]

_HISTORY = ("customer", "kind", "ref", "action", "at", "source", "event_id", "recorded")
_ADDRESS_KEY = "address_key"


class Handed(NamedTuple):
    """The situations of the active policy; `seq` grows with every handing over."""

    seq: int
    policy_version: int
    situations: list[Document]


class HistoryRow(NamedTuple):
    """One step of a customer's situations, and the event behind it."""

    customer: str
    change: Change
    at: Instant
    source: str
    event_id: str


NOTHING_HANDED = Handed(0, 0, [])


async def handed(tx: Tx, known: int = -1) -> Handed | None:
    """The situations in force; None when they are those of `seq` `known`."""
    newest = await tx.row("SELECT max(seq) AS seq FROM situation_kinds")
    seq = 0 if newest is None or newest.seq is None else int(newest.seq)
    if seq == known:
        return None
    row = await tx.row("SELECT policy_version, body FROM situation_kinds WHERE seq = :seq", seq=seq)
    return NOTHING_HANDED if row is None else Handed(seq, row.policy_version, msgspec.json.decode(row.body))


async def hand(tx: Tx, policy_version: int, situations: Sequence[Document], at: Instant) -> None:
    """Put these in force, unless they are already, or those of a later version of the policy are."""
    current = await handed(tx)
    if current is not None and current.seq and current.policy_version >= policy_version:
        return
    sql = "INSERT INTO situation_kinds (policy_version, body, at) VALUES (:version, :body, :at)"
    await tx.run(sql, version=policy_version, body=msgspec.json.encode(situations), at=at)


async def record_changes(tx: Tx, rows: Sequence[HistoryRow], recorded: Instant) -> None:
    """Append to the history, in order."""
    values = [
        (
            row.customer,
            row.change.sign.kind,
            row.change.sign.ref,
            "opened" if row.change.opened else "closed",
            row.at,
            row.source,
            row.event_id,
            recorded,
        )
        for row in rows
    ]
    await tx.insert("situation_event", _HISTORY, values)


async def history(tx: Tx, customer: str, before: int, limit: int) -> Sequence[Any]:
    """The newest steps of a customer's situations with a `seq` below `before`."""
    sql = """
        SELECT seq, kind, ref, action, at, source, event_id, recorded FROM situation_event
        WHERE customer = :customer AND seq < :before ORDER BY seq DESC LIMIT :limit
    """
    return await tx.rows(sql, customer=customer, before=before, limit=limit)


async def record_quarantine(tx: Tx, customer: str, hold: HoldFact, record: Record, error_class: str) -> None:
    """Append to the history why this customer is left in peace for a while."""
    sql = """
        INSERT INTO quarantine (customer, start, until, topic, partition, log_offset, error_class)
        VALUES (:customer, :start, :until, :topic, :partition, :offset, :error_class)
    """
    place = {"topic": record.topic, "partition": record.partition, "offset": record.offset}
    await tx.run(sql, customer=customer, start=hold.start, until=hold.until, error_class=error_class, **place)


async def settle_address_key(tx: Tx, fingerprint: str) -> str:
    """The fingerprint of the key under which addresses are kept: the first one ever given."""
    sql = "INSERT INTO settled (name, value) VALUES (:name, :value) ON CONFLICT (name) DO NOTHING"
    await tx.run(sql, name=_ADDRESS_KEY, value=fingerprint)
    row = await tx.row("SELECT value FROM settled WHERE name = :name", name=_ADDRESS_KEY)
    assert row is not None
    return str(row.value)
