"""All SQL of this service. Functions are named after the question; the caller owns the transaction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import Row

from schemas.facts import Preference
from schemas.times import Instant
from services.kit.db.database import Tx
from services.preference.document_form import document_of
from services.preference.preference_state import State, empty, facts, pack, packed_facts, unpack

_STATE = {"customer": "text", "version": "bigint", "state": "bytea"}
_KNOWN = {"customer": "text", "version": "bigint"}
_KEY = ("customer", "source", "event_id")
_CHANGE = (
    "customer", "version", "at", "recorded", "source", "actor", "event_source", "event_id", "field", "value",
)  # fmt: skip

EventKey = tuple[str, ...]
"""Customer, source and id of an event."""


class Cause(msgspec.Struct, frozen=True):
    """Who or what changed preferences: `source` is event, api or unsubscribe."""

    source: str
    at: Instant
    recorded: Instant
    actor: str | None = None
    event_source: str | None = None
    event_id: str | None = None


class Edit(msgspec.Struct, frozen=True):
    """One customer's state before and after one change."""

    before: State
    after: State
    cause: Cause


class HistoryItem(msgspec.Struct, frozen=True):
    """One field as one change left it. `value` is JSON; `at` says since when, `recorded` when we learnt it."""

    seq: int
    version: int
    at: Instant
    recorded: Instant
    source: str
    actor: str | None
    event_source: str | None
    event_id: str | None
    field: str
    value: Any


class TopicFact(msgspec.Struct, frozen=True):
    """A topic of the active policy. A required one cannot be switched off, except with its channel."""

    key: str
    name: str
    required: bool = False


class Topics(msgspec.Struct, frozen=True):
    """The topics of the policy version that is active."""

    policy_version: int
    topics: tuple[TopicFact, ...]


async def states(tx: Tx, customers: Sequence[str]) -> dict[str, State]:
    """What is known of these customers; those unknown are absent."""
    rows = await tx.rows(
        f"SELECT customer, state FROM preference_state WHERE {tx.among('customer', 'customers')}",
        customers=tx.array(customers),
    )
    return {row.customer: unpack(row.state) for row in rows}


async def answers(tx: Tx, customers: Sequence[str], versions: Sequence[int]) -> list[Preference | msgspec.Raw]:
    """The facts of these customers in their packed form, but for those who still have the version given for them."""
    if versions:
        rows = await tx.tuples(
            f"SELECT k.customer, s.state FROM {tx.table('k', _KNOWN)} LEFT JOIN preference_state s "
            "ON s.customer = k.customer WHERE coalesce(s.version, 0) <> k.version",
            **tx.bind_table("k", _KNOWN, list(zip(customers, versions, strict=True))),
        )
        return [_said(customer, state) for customer, state in rows]
    rows = await tx.tuples(
        f"SELECT customer, state FROM preference_state WHERE {tx.among('customer', 'customers')}",
        customers=tx.array(customers),
    )
    found = dict(rows)
    return [_said(customer, found.get(customer)) for customer in customers]


def _said(customer: str, state: bytes | None) -> Preference | msgspec.Raw:
    return facts(empty(customer)) if state is None else packed_facts(state)


async def lock(tx: Tx, customers: Iterable[str]) -> dict[str, State]:
    """The states of all these customers, their rows locked in order of customer; rows that lack are made."""
    wanted = sorted(set(customers))
    found = await _locked(tx, wanted)
    missing = [customer for customer in wanted if customer not in found]
    if missing:
        rows = [(customer, 0, pack(empty(customer))) for customer in missing]
        await tx.run(
            f"INSERT INTO preference_state (customer, version, state) SELECT customer, version, state "
            f"FROM {tx.table('v', _STATE)} WHERE true ORDER BY customer ON CONFLICT (customer) DO NOTHING",
            **tx.bind_table("v", _STATE, rows),
        )
        found |= await _locked(tx, missing)
    return found


async def _locked(tx: Tx, customers: Sequence[str]) -> dict[str, State]:
    rows = await tx.rows(
        f"SELECT customer, state FROM preference_state WHERE {tx.among('customer', 'customers')} "
        f"ORDER BY customer {tx.for_update}",
        customers=tx.array(customers),
    )
    return {row.customer: unpack(row.state) for row in rows}


async def save(tx: Tx, edits: Sequence[Edit]) -> None:
    """Write the last state of each customer, and every edit's history. The rows are locked: see `lock`."""
    last = {edit.after.customer: edit.after for edit in edits}
    rows = [(customer, state.version, pack(state)) for customer, state in sorted(last.items())]
    if not rows:
        return
    await tx.run(
        f"UPDATE preference_state SET version = v.version, state = v.state FROM {tx.table('v', _STATE)} "
        "WHERE preference_state.customer = v.customer",
        **tx.bind_table("v", _STATE, rows),
    )
    await tx.insert("preference_change", _CHANGE, [row for edit in edits for row in _history_rows(edit)])


def _history_rows(edit: Edit) -> list[tuple[Any, ...]]:
    cause, customer, version = edit.cause, edit.after.customer, edit.after.version
    actor = (cause.source, cause.actor, cause.event_source, cause.event_id)
    return [
        (customer, version, cause.at, cause.recorded, *actor, field, msgspec.json.encode(value))
        for field, value in _differences(edit.before, edit.after).items()
    ]


def _differences(before: State, after: State) -> dict[str, Any]:
    old, new = document_of(before.preference), document_of(after.preference)
    changed = {field: value for field, value in new.items() if old[field] != value}
    if before.blocked_until != after.blocked_until:
        changed["blocked_until"] = after.blocked_until
    return changed


async def seen(tx: Tx, keys: Sequence[EventKey]) -> dict[EventKey, bytes]:
    """Which of these events were applied before, and the digest of what they said."""
    return await tx.find("preference_inbox", _KEY, keys, "digest")


async def remember(tx: Tx, digests: Mapping[EventKey, bytes], received: Instant) -> None:
    """Note that these events have been applied."""
    columns = ("customer", "source", "event_id", "digest", "received")
    await tx.insert("preference_inbox", columns, [(*key, digest, received) for key, digest in digests.items()])


async def history(tx: Tx, customer: str, before: int | None, limit: int) -> list[HistoryItem]:
    """What changed, newest first, starting below sequence number `before`."""
    rows = await tx.rows(
        f"SELECT seq, {', '.join(_CHANGE[1:])} FROM preference_change "
        "WHERE customer = :customer AND seq < :before ORDER BY seq DESC LIMIT :limit",
        customer=customer,
        before=before if before is not None else 2**62,
        limit=limit,
    )
    return [_item(row) for row in rows]


async def changes_until(
    tx: Tx, customer: str, *, recorded: Instant | None = None, version: int | None = None
) -> list[HistoryItem]:
    """What changed, oldest first: all that was recorded by an instant, or that led to a version."""
    where = ["customer = :customer"]
    bound: dict[str, object] = {"customer": customer}
    for condition, name, value in (("recorded <= :recorded", "recorded", recorded), ("version <= :v", "v", version)):
        if value is not None:
            where.append(condition)
            bound[name] = value
    sql = f"SELECT seq, {', '.join(_CHANGE[1:])} FROM preference_change WHERE {' AND '.join(where)} ORDER BY seq"
    return [_item(row) for row in await tx.rows(sql, **bound)]


async def changed_after(tx: Tx, customers: Sequence[str], instant: Instant) -> set[str]:
    """Those of the customers of whom anything was recorded after an instant."""
    rows = await tx.rows(
        "SELECT DISTINCT customer FROM preference_change "
        f"WHERE customer IN ({tx.each('customers')}) AND recorded > :instant",
        customers=tx.array(customers),
        instant=instant,
    )
    return {row.customer for row in rows}


async def changes_of(tx: Tx, customers: Sequence[str], until: Instant) -> dict[str, list[HistoryItem]]:
    """What changed of these customers, oldest first: all that was recorded by an instant."""
    rows = await tx.rows(
        f"SELECT seq, {', '.join(_CHANGE)} FROM preference_change "
        f"WHERE customer IN ({tx.each('customers')}) AND recorded <= :until ORDER BY customer, seq",
        customers=tx.array(customers),
        until=until,
    )
    found: dict[str, list[HistoryItem]] = {customer: [] for customer in customers}
    for row in rows:
        values = dict(row._mapping)
        found[values.pop("customer")].append(HistoryItem(**values | {"value": msgspec.json.decode(values["value"])}))
    return found


def _item(row: Row[Any]) -> HistoryItem:
    values = dict(row._mapping)
    return HistoryItem(**values | {"value": msgspec.json.decode(values["value"])})


async def topics(tx: Tx) -> Topics | None:
    """The topics of the active policy, or None when no policy has been active."""
    row = await tx.row("SELECT topics FROM topic_catalogue WHERE one = 1")
    return None if row is None else msgspec.json.decode(row.topics, type=Topics)


async def set_topics(tx: Tx, catalogue: Topics) -> None:
    """Replace the topics, unless those of a later policy are here already: calls may arrive in any order."""
    await tx.run(
        "INSERT INTO topic_catalogue (one, policy_version, topics) VALUES (1, :version, :topics) "
        "ON CONFLICT (one) DO UPDATE SET policy_version = excluded.policy_version, topics = excluded.topics "
        "WHERE topic_catalogue.policy_version <= excluded.policy_version",
        version=catalogue.policy_version,
        topics=msgspec.json.encode(catalogue),
    )
