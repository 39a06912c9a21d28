"""SQL of the packed customer states, and of the inbox of applied events."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

from schemas.times import Instant
from services.erasure.erased_customers import ErasedCustomers
from services.kit.db.database import Tx
from services.suppression.suppression_state import SuppressionState, empty_state, pack, unpack

EventKey: TypeAlias = tuple[str, ...]
"""Customer, source, event id."""

_STATE_COLUMNS = {"customer": "text", "version": "bigint", "body": "bytea"}
_EVENT_KEY_COLUMNS = ("customer", "source", "event_id")


async def get_states(tx: Tx, customers: Sequence[str]) -> dict[str, SuppressionState]:
    """The states of all these customers; a customer without a row has the empty state."""
    return await _select_states(tx, customers, "")


async def lock_states(tx: Tx, customers: Iterable[str], erased: ErasedCustomers) -> dict[str, SuppressionState]:
    """The states of these customers, their rows locked until the transaction ends; erased customers are absent.

    Rows are inserted and locked in one order of customers, so that two transactions cannot deadlock. An empty body
    marks a row that was inserted only to be locked.
    """
    names = list(set(customers))
    if tx.dialect == "postgresql" and names:  # SQLite has one writer
        sql = f"""
            INSERT INTO customer_state (customer, version, body)
            SELECT c, 0, '' FROM ({tx.unnest("customers")} AS c) AS given ORDER BY c
            ON CONFLICT (customer) DO NOTHING
        """
        await tx.execute(sql, customers=tx.list_parameter(names))
    states = await _select_states(tx, names, f"ORDER BY customer {tx.for_update}")
    # Asked under the locks: an erasure that has just committed deleted the row, and another was inserted above.
    gone = await erased.among(tx, [name for name, state in states.items() if not state.version])
    if gone:
        await tx.execute(
            f"DELETE FROM customer_state WHERE {tx.in_list('customer', 'gone')}", gone=tx.list_parameter(sorted(gone))
        )
    return {name: state for name, state in states.items() if name not in gone}


async def _select_states(tx: Tx, customers: Sequence[str], order: str) -> dict[str, SuppressionState]:
    found = {customer: empty_state(customer) for customer in customers}
    if found:
        sql = f"SELECT customer, body FROM customer_state WHERE {tx.in_list('customer', 'customers')} {order}"
        rows = await tx.tuples(sql, customers=tx.list_parameter(list(found)))
        found.update((customer, unpack(body)) for customer, body in rows if body)
    return found


async def save_states(tx: Tx, changed: Iterable[SuppressionState]) -> None:
    """Write these states. Requires `lock_states`."""
    rows = [(state.customer, state.version, pack(state)) for state in changed]
    if not rows:
        return
    sql = f"""
        INSERT INTO customer_state (customer, version, body)
        SELECT customer, version, body FROM {tx.table_parameter("v", _STATE_COLUMNS)} WHERE true
        ON CONFLICT (customer) DO UPDATE SET version = excluded.version, body = excluded.body
    """
    await tx.execute(sql, **tx.bind_table_parameter("v", _STATE_COLUMNS, rows))


async def find_applied_events(tx: Tx, keys: Sequence[EventKey]) -> dict[EventKey, bytes | None]:
    """Those of these events that have been applied already, with their digests; None where an earlier version did."""
    if not keys:
        return {}
    applied = await tx.lookup_column("inbox", _EVENT_KEY_COLUMNS, keys, "received")
    digests = await tx.lookup_column("inbox", _EVENT_KEY_COLUMNS, list(applied), "digest") if applied else {}
    return {key: digests.get(key) for key in applied}


async def record_applied_events(tx: Tx, digests: Mapping[EventKey, bytes], received: Instant) -> None:
    """Record these events in the inbox as applied. None of them may be there already."""
    columns = (*_EVENT_KEY_COLUMNS, "received", "digest")
    await tx.bulk_insert("inbox", columns, [(*key, received, digest) for key, digest in digests.items()])
