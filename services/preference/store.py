"""SQL of the preference service. The caller owns the transaction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import Row

from schemas.facts import Preference
from schemas.policy_topics import PolicyTopics
from schemas.times import Instant
from services.erasure.erased_customers import ErasedCustomers
from services.kit.db.database import Tx
from services.preference.customer_lookup import MAX_WORDS, lookup_keys
from services.preference.document_form import preference_document
from services.preference.opt_out_topic import PreferenceEdit, keep_opt_outs
from services.preference.preference_state import PreferenceState, empty_state, pack, read_packed_facts, to_facts, unpack
from services.preference.sealed_columns import CHANGE_COLUMN, STATE_COLUMN

_STATE_COLUMNS = {"customer": "text", "version": "bigint", "state": "bytea"}
_VERSION_COLUMNS = {"customer": "text", "version": "bigint"}
_EVENT_KEY_COLUMNS = ("customer", "source", "event_id")
_CHANGE_COLUMNS = (
    "customer", "version", "at", "recorded", "source", "actor", "event_source", "event_id", "network", "agent", "field",
    "value",
)  # fmt: skip

_LOOKUP_COLUMNS = {"kind": "text", "value": "text", "customer": "text"}
LookupRow = tuple[str, str, str]
EventKey = tuple[str, ...]
"""Customer, source and id of an event."""


class ChangeCause(msgspec.Struct, frozen=True):
    """Who or what changed preferences, when, and from where. `source` is event, api, unsubscribe, centre,
    confirmation or import; `network` and `agent` are those of a person's or program's request.
    """

    source: str
    at: Instant
    recorded: Instant
    actor: str | None = None
    event_source: str | None = None
    event_id: str | None = None
    network: str | None = None
    agent: str | None = None


class StateUpdate(msgspec.Struct, frozen=True):
    """One customer's state before and after one change."""

    before: PreferenceState
    after: PreferenceState
    cause: ChangeCause


class PreferenceHistoryItem(msgspec.Struct, frozen=True):
    """The value of one field after one change. `at`: when it took effect; `recorded`: when we stored it."""

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
    network: str | None = None
    agent: str | None = None


async def get_states(tx: Tx, customers: Sequence[str], region: str | None) -> dict[str, PreferenceState]:
    """The states of these customers; one of whom nothing is known is absent. `region`: the organisation's country."""
    rows = await tx.rows(
        f"SELECT customer, state FROM preference_state WHERE {tx.in_list('customer', 'customers')}",
        customers=tx.list_parameter(customers),
    )
    return {row.customer: unpack(_open_state(tx, row.customer, row.state), region) for row in rows}


async def read_facts(
    tx: Tx, customers: Sequence[str], versions: Sequence[int], region: str | None
) -> list[Preference | msgspec.Raw]:
    """The facts of these customers, packed; without those whose version is still the one given for them."""
    if versions:
        rows = await tx.tuples(
            f"SELECT k.customer, s.state FROM {tx.table_parameter('k', _VERSION_COLUMNS)} LEFT JOIN preference_state s "
            "ON s.customer = k.customer WHERE coalesce(s.version, 0) <> k.version",
            **tx.bind_table_parameter("k", _VERSION_COLUMNS, list(zip(customers, versions, strict=True))),
        )
        return [_read_facts(tx, customer, state, region) for customer, state in rows]
    rows = await tx.tuples(
        f"SELECT customer, state FROM preference_state WHERE {tx.in_list('customer', 'customers')}",
        customers=tx.list_parameter(customers),
    )
    found = dict(rows)
    return [_read_facts(tx, customer, found.get(customer), region) for customer in customers]


def _read_facts(tx: Tx, customer: str, state: bytes | None, region: str | None) -> Preference | msgspec.Raw:
    if state is None:
        return to_facts(empty_state(customer))
    return read_packed_facts(_open_state(tx, customer, state), region)


def _open_state(tx: Tx, customer: str, stored: bytes) -> bytes:
    return tx.columns.open(STATE_COLUMN, customer, stored)


def _seal_state(tx: Tx, state: PreferenceState) -> bytes:
    return tx.columns.seal(STATE_COLUMN, state.customer, pack(state))


async def lock_states(
    tx: Tx, customers: Iterable[str], region: str | None, erased: ErasedCustomers
) -> dict[str, PreferenceState]:
    """The states of these customers, their rows locked; missing rows are inserted first. Erased customers are absent.

    Rows are locked in one order of customers, so that two transactions cannot deadlock.
    """
    sorted_customers = sorted(set(customers))
    found = await _select_for_update(tx, sorted_customers, region)
    missing = [customer for customer in sorted_customers if customer not in found]
    if missing:
        rows = [(customer, 0, _seal_state(tx, empty_state(customer, region))) for customer in missing]
        await tx.execute(
            f"INSERT INTO preference_state (customer, version, state) SELECT customer, version, state "
            f"FROM {tx.table_parameter('v', _STATE_COLUMNS)} "
            "WHERE true ORDER BY customer ON CONFLICT (customer) DO NOTHING",
            **tx.bind_table_parameter("v", _STATE_COLUMNS, rows),
        )
        found |= await _select_for_update(tx, missing, region)
        # Asked under the locks: an erasure that has just committed deleted the row, and another was inserted above.
        gone = await erased.among(tx, missing)
        for customer in gone:
            await delete_state(tx, customer)
            del found[customer]
    return found


async def delete_state(tx: Tx, customer: str) -> dict[str, int]:
    """Delete the state of a customer, and the keys by which they are found; how many rows by table. Requires
    `lock_states`.
    """
    return {
        table: await tx.execute(f"DELETE FROM {table} WHERE customer = :customer", customer=customer)
        for table in ("preference_state", "customer_lookup")
    }


async def list_past_addresses(tx: Tx, customer: str) -> list[tuple[str, str]]:
    """Every address that the history of the customer has, with its channel."""
    rows = await tx.rows(
        "SELECT value FROM preference_change WHERE customer = :customer AND field = 'addresses'", customer=customer
    )
    documents = [document for row in rows for document in _open_change(tx, customer, row.value) or ()]
    return list(dict.fromkeys((document["channel"], document["address"]) for document in documents))


async def _select_for_update(tx: Tx, customers: Sequence[str], region: str | None) -> dict[str, PreferenceState]:
    rows = await tx.rows(
        f"SELECT customer, state FROM preference_state WHERE {tx.in_list('customer', 'customers')} "
        f"ORDER BY customer {tx.for_update}",
        customers=tx.list_parameter(customers),
    )
    return {row.customer: unpack(_open_state(tx, row.customer, row.state), region) for row in rows}


async def save_updates(tx: Tx, edits: Sequence[StateUpdate]) -> None:
    """Write the last state of each customer, and the history of every update. Requires `lock_states`."""
    if not edits:
        return
    await write_states(tx, {edit.after.customer: edit.after for edit in edits}.values())
    await _update_lookup_keys(tx, edits)
    await tx.bulk_insert(
        "preference_change", _CHANGE_COLUMNS, [row for edit in edits for row in _history_rows(tx, edit)]
    )
    if tx.out_topics:
        changes = [PreferenceEdit(each.before.preference, each.after.preference, each.cause.recorded) for each in edits]
        await keep_opt_outs(tx, changes)


async def write_states(tx: Tx, states: Iterable[PreferenceState]) -> None:
    """Write these states, of different customers, without a history. Requires `lock_states`."""
    rows = sorted((state.customer, state.version, _seal_state(tx, state)) for state in states)
    if not rows:
        return
    await tx.execute(
        "UPDATE preference_state SET version = v.version, state = v.state "
        f"FROM {tx.table_parameter('v', _STATE_COLUMNS)} "
        "WHERE preference_state.customer = v.customer",
        **tx.bind_table_parameter("v", _STATE_COLUMNS, rows),
    )


async def _update_lookup_keys(tx: Tx, edits: Sequence[StateUpdate]) -> None:
    """Write what the edits change of the customers' keys; most change nothing."""
    before = {edit.after.customer: edit.before.preference for edit in reversed(edits)}
    after = {edit.after.customer: edit.after.preference for edit in edits}
    removed, added = set[LookupRow](), set[LookupRow]()
    for customer, preference in after.items():
        old, new = before[customer], preference
        if old.traits == new.traits and old.addresses == new.addresses:
            continue
        old_keys, new_keys = lookup_keys(old), lookup_keys(new)
        removed |= {(*key, customer) for key in old_keys - new_keys}
        added |= {(*key, customer) for key in new_keys - old_keys}
    if removed:
        await tx.execute(
            f"DELETE FROM customer_lookup WHERE (kind, value, customer) IN "
            f"(SELECT kind, value, customer FROM {tx.table_parameter('v', _LOOKUP_COLUMNS)})",
            **tx.bind_table_parameter("v", _LOOKUP_COLUMNS, sorted(removed)),
        )
    await _insert_lookup_rows(tx, added)


async def replace_lookup_keys(tx: Tx, preferences: Iterable[Preference]) -> None:
    """Write all keys of these customers anew. Requires `lock_states`."""
    known = {preference.customer: preference for preference in preferences}
    await tx.execute(
        f"DELETE FROM customer_lookup WHERE {tx.in_list('customer', 'customers')}",
        customers=tx.list_parameter(list(known)),
    )
    await _insert_lookup_rows(
        tx, {(*key, customer) for customer, preference in known.items() for key in lookup_keys(preference)}
    )


async def _insert_lookup_rows(tx: Tx, rows: Iterable[LookupRow]) -> None:
    if in_order := sorted(rows):
        await tx.execute(
            f"INSERT INTO customer_lookup (kind, value, customer) SELECT kind, value, customer "
            f"FROM {tx.table_parameter('v', _LOOKUP_COLUMNS)} WHERE true ON CONFLICT DO NOTHING",
            **tx.bind_table_parameter("v", _LOOKUP_COLUMNS, in_order),
        )


async def find_customers_by_name(tx: Tx, name: str, limit: int) -> list[str]:
    """Customers with a name that begins so, or has a word from which on it goes so; `name` is folded."""
    rows = await tx.rows(
        "SELECT value, customer FROM customer_lookup WHERE kind = 'name' AND value >= :low AND value < :high "
        "ORDER BY value, customer LIMIT :rows",
        low=name,
        high=name + "\U0010ffff",
        rows=limit * MAX_WORDS,
    )
    return list(dict.fromkeys(row.customer for row in rows))[:limit]


async def find_customers_by_address(tx: Tx, values: Sequence[str], limit: int) -> list[str]:
    """Customers who have one of these addresses, in their comparable forms."""
    rows = await tx.rows(
        "SELECT DISTINCT customer FROM customer_lookup WHERE kind = 'address' "
        f"AND {tx.in_list('value', 'wanted')} ORDER BY customer LIMIT :limit",
        wanted=tx.list_parameter(values),
        limit=limit,
    )
    return [row.customer for row in rows]


async def list_packed_states(tx: Tx, after: str, limit: int) -> list[tuple[str, bytes]]:
    """Customers and their packed states, in order, from the first customer after `after`."""
    return [
        (customer, bytes(_open_state(tx, customer, state)))
        for customer, state in await tx.tuples(
            "SELECT customer, state FROM preference_state WHERE customer > :after ORDER BY customer LIMIT :limit",
            after=after,
            limit=limit,
        )
    ]


async def get_settled(tx: Tx, name: str) -> str | None:
    """What `set_settled` has noted under a name."""
    row = await tx.row("SELECT value FROM settled WHERE name = :name", name=name)
    return None if row is None else str(row.value)


async def set_settled(tx: Tx, name: str, value: str) -> None:
    """Note a fact about this database."""
    await tx.execute(
        "INSERT INTO settled (name, value) VALUES (:name, :value) "
        "ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        name=name,
        value=value,
    )


def _history_rows(tx: Tx, edit: StateUpdate) -> list[tuple[Any, ...]]:
    cause, customer, version = edit.cause, edit.after.customer, edit.after.version
    actor = (cause.source, cause.actor, cause.event_source, cause.event_id, cause.network, cause.agent)
    return [
        (customer, version, cause.at, cause.recorded, *actor, field, _seal_change(tx, customer, value))
        for field, value in _changed_fields(edit.before, edit.after).items()
    ]


def _changed_fields(before: PreferenceState, after: PreferenceState) -> dict[str, Any]:
    old, new = preference_document(before.preference), preference_document(after.preference)
    changed = {field: value for field, value in new.items() if old[field] != value}
    if before.preference.quarantines != after.preference.quarantines:
        changed["quarantines"] = after.preference.quarantines
    return changed


async def find_applied_digests(tx: Tx, keys: Sequence[EventKey]) -> dict[EventKey, bytes]:
    """The digests of those of these events that were applied before."""
    return await tx.lookup_column("preference_inbox", _EVENT_KEY_COLUMNS, keys, "digest")


async def record_applied_events(tx: Tx, digests: Mapping[EventKey, bytes], received: Instant) -> None:
    """Record these events in the inbox as applied."""
    columns = ("customer", "source", "event_id", "digest", "received")
    await tx.bulk_insert("preference_inbox", columns, [(*key, digest, received) for key, digest in digests.items()])


async def list_history(tx: Tx, customer: str, before: int | None, limit: int) -> list[PreferenceHistoryItem]:
    """Changes of a customer with a sequence number below `before`, newest first."""
    rows = await tx.rows(
        f"SELECT seq, {', '.join(_CHANGE_COLUMNS[1:])} FROM preference_change "
        "WHERE customer = :customer AND seq < :before ORDER BY seq DESC LIMIT :limit",
        customer=customer,
        before=before if before is not None else 2**62,
        limit=limit,
    )
    return [_history_item(tx, customer, row) for row in rows]


async def list_newest_changes(tx: Tx, customer: str, fields: Sequence[str], limit: int) -> list[PreferenceHistoryItem]:
    """The newest changes of these fields of a customer, newest first."""
    rows = await tx.rows(
        f"SELECT seq, {', '.join(_CHANGE_COLUMNS[1:])} FROM preference_change "
        f"WHERE customer = :customer AND {tx.in_list('field', 'fields')} ORDER BY seq DESC LIMIT :limit",
        customer=customer,
        fields=tx.list_parameter(fields),
        limit=limit,
    )
    return [_history_item(tx, customer, row) for row in rows]


async def list_changes_until(
    tx: Tx, customer: str, *, recorded: Instant | None = None, version: int | None = None
) -> list[PreferenceHistoryItem]:
    """Changes of a customer, oldest first: those recorded by an instant, or up to a version."""
    where = ["customer = :customer"]
    params: dict[str, object] = {"customer": customer}
    for condition, name, value in (("recorded <= :recorded", "recorded", recorded), ("version <= :v", "v", version)):
        if value is not None:
            where.append(condition)
            params[name] = value
    sql = (
        f"SELECT seq, {', '.join(_CHANGE_COLUMNS[1:])} FROM preference_change WHERE {' AND '.join(where)} ORDER BY seq"
    )
    return [_history_item(tx, customer, row) for row in await tx.rows(sql, **params)]


async def find_changed_customers(tx: Tx, customers: Sequence[str], instant: Instant) -> set[str]:
    """Those of the customers with a change recorded after an instant."""
    rows = await tx.rows(
        "SELECT DISTINCT customer FROM preference_change "
        f"WHERE customer IN ({tx.unnest('customers')}) AND recorded > :instant",
        customers=tx.list_parameter(customers),
        instant=instant,
    )
    return {row.customer for row in rows}


async def count_later_changes(tx: Tx, key: EventKey, time: Instant) -> int:
    """How many changes of the event's customer took effect after `time`; not quarantines, and not its own."""
    customer, source, event_id = key
    row = await tx.row(
        "SELECT count(*) AS changes FROM preference_change WHERE customer = :customer AND at > :time "
        "AND field NOT IN ('quarantines', 'blocked_until') "
        "AND NOT (coalesce(event_source, '') = :source AND coalesce(event_id, '') = :id)",
        customer=customer,
        time=time,
        source=source,
        id=event_id,
    )
    return 0 if row is None else int(row.changes)


async def list_changes_by_customer(
    tx: Tx, customers: Sequence[str], until: Instant
) -> dict[str, list[PreferenceHistoryItem]]:
    """Changes of these customers recorded by an instant, oldest first."""
    rows = await tx.rows(
        f"SELECT seq, {', '.join(_CHANGE_COLUMNS)} FROM preference_change "
        f"WHERE customer IN ({tx.unnest('customers')}) AND recorded <= :until ORDER BY customer, seq",
        customers=tx.list_parameter(customers),
        until=until,
    )
    found: dict[str, list[PreferenceHistoryItem]] = {customer: [] for customer in customers}
    for row in rows:
        found[row.customer].append(_history_item(tx, row.customer, row))
    return found


def _history_item(tx: Tx, customer: str, row: Row[Any]) -> PreferenceHistoryItem:
    values = {name: value for name, value in row._mapping.items() if name != "customer"}
    return PreferenceHistoryItem(**values | {"value": _open_change(tx, customer, row.value)})


def _seal_change(tx: Tx, customer: str, value: Any) -> bytes:
    return tx.columns.seal(CHANGE_COLUMN, customer, msgspec.json.encode(value))


def _open_change(tx: Tx, customer: str, stored: bytes) -> Any:
    return msgspec.json.decode(tx.columns.open(CHANGE_COLUMN, customer, stored))


async def get_topics(tx: Tx) -> PolicyTopics | None:
    """The topics of the active policy, or None when there has been none."""
    row = await tx.row("SELECT topics FROM topic_catalogue WHERE one = 1")
    return None if row is None else msgspec.json.decode(row.topics, type=PolicyTopics)


async def set_topics(tx: Tx, policy_topics: PolicyTopics) -> None:
    """Replace the topics, unless those of a later policy are stored: calls may arrive in any order."""
    await tx.execute(
        "INSERT INTO topic_catalogue (one, policy_version, topics) VALUES (1, :version, :topics) "
        "ON CONFLICT (one) DO UPDATE SET policy_version = excluded.policy_version, topics = excluded.topics "
        "WHERE topic_catalogue.policy_version <= excluded.policy_version",
        version=policy_topics.policy_version,
        topics=msgspec.json.encode(policy_topics),
    )
