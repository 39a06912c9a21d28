"""SQL that deletes what is old, in the order in which it was written.

Each step deletes from one place on, `after`, and returns where the next one begins, or None at the end, with the
numbers of deleted rows by table.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Final

import msgspec

from schemas.times import Instant
from schemas.vocabulary import MessageState
from services.kit.db.database import Tx
from services.retention.kept_kinds import ROWS_AT_ONCE, ExpiryProgress

HANDOVERS_AT_ONCE = 20

WAITING: Final = ", ".join(
    repr(state.value) for state in (MessageState.PLANNED, MessageState.PARKED, MessageState.PENDING, MessageState.RETRY)
)


def _is_needed(customer: str, source: str, event_id: str) -> str:
    """Whether a message of the event waits, is being handed over, or has changed at or after `:before`."""
    return (
        f"EXISTS (SELECT 1 FROM message m WHERE m.customer = {customer} AND m.event_source = {source} "
        f"AND m.event_id = {event_id} AND (m.updated >= :before OR m.state IN ({WAITING}) "
        f"OR (m.state = '{MessageState.HANDING_OVER.value}' AND EXISTS "
        "(SELECT 1 FROM handover h WHERE h.handover_id = m.handover_id AND h.closed_at IS NULL))))"
    )


async def delete_decisions(tx: Tx, before: Instant, after: int) -> ExpiryProgress:
    """Delete decisions with their events, and the messages and attempts of these events."""
    # Decisions are numbered nearly in order of time: the first one that is young enough ends the search.
    young = await tx.row(
        "SELECT decision_id FROM decision WHERE time >= :before ORDER BY time, message_id LIMIT 1", before=before
    )
    found = await tx.tuples(
        "SELECT decision_id FROM decision WHERE decision_id > :after AND decision_id < :end AND time < :before "
        "ORDER BY decision_id LIMIT :most",
        after=after,
        end=2**62 if young is None else young.decision_id,
        before=before,
        most=ROWS_AT_ONCE,
    )
    if not found:
        return None, Counter()
    needed = _is_needed("decision.customer", "decision.event_source", "decision.event_id")
    of_ids = tx.in_list("decision_id", "ids", "bigint")
    deleted = await tx.tuples(
        f"DELETE FROM decision WHERE {of_ids} AND NOT {needed} RETURNING message_id",
        ids=tx.list_parameter([row[0] for row in found]),
        before=before,
    )
    counts = Counter(decision=len(deleted))
    messages = sorted({row[0] for row in deleted})
    for table in ("message", "attempt", "receipt"):
        counts[table] = await _delete_of_messages(tx, table, messages)
    for table in ("sandbox_message", "app_message"):  # copies of the message
        await _delete_of_messages(tx, table, messages)
    return found[-1][0], +counts


async def oldest_decision(tx: Tx, before: Instant) -> Instant | None:
    """The time of the oldest decision from before an instant that no message needs any more."""
    needed = _is_needed("decision.customer", "decision.event_source", "decision.event_id")
    row = await tx.row(
        f"SELECT time FROM decision WHERE time < :before AND NOT {needed} ORDER BY time, message_id LIMIT 1",
        before=before,
    )
    return None if row is None else row.time


async def delete_redrive_items(tx: Tx, before: Instant, after: int) -> ExpiryProgress:
    """Delete what became of the letters of redrives that have finished; the redrives themselves go after that."""
    found = await tx.tuples(
        "SELECT job, seq FROM redrive_item WHERE job IN (SELECT id FROM redrive_job WHERE finished < :before) "
        "ORDER BY job, seq LIMIT :most",
        before=before,
        most=ROWS_AT_ONCE,
    )
    await tx.execute_many(
        "DELETE FROM redrive_item WHERE job = :job AND seq = :seq", [{"job": job, "seq": seq} for job, seq in found]
    )
    return (after + 1 if len(found) == ROWS_AT_ONCE else None), +Counter(redrive_item=len(found))


async def _delete_of_messages(tx: Tx, table: str, messages: Sequence[str]) -> int:
    return await tx.execute(
        f"DELETE FROM {table} WHERE {tx.in_list('message_id', 'ids')}", ids=tx.list_parameter(messages)
    )


async def delete_inbox_rows(tx: Tx, before: Instant, after: Instant) -> ExpiryProgress:
    """Delete events about which nothing was decided, and those that earlier versions have stored there. `after`: an
    instant; those received at or before it have been looked at.
    """
    last = await tx.row(
        "SELECT max(received) AS received, count(*) AS many FROM (SELECT received FROM inbox "
        "WHERE received > :after AND received < :before ORDER BY received LIMIT :most) AS oldest",
        after=after,
        before=before,
        most=ROWS_AT_ONCE,
    )
    if last is None or not last.many:
        return None, Counter()
    needed = _is_needed("inbox.customer", "inbox.source", "inbox.event_id")
    count = await tx.execute(
        f"DELETE FROM inbox WHERE received > :after AND received <= :last AND NOT {needed}",
        after=after,
        last=last.received,
        before=before,
    )
    return last.received, +Counter(inbox=count)


async def delete_stray_replies(tx: Tx, before: Instant, after: int) -> ExpiryProgress:
    """Delete replies that belong to no message. What they asked for has been done."""
    count = await tx.execute(
        "DELETE FROM receipt WHERE message_id = '' AND received < :before AND suppresses IS NULL", before=before
    )
    return None, +Counter(receipt=count)


async def delete_decided_replies(tx: Tx, before: Instant, after: int) -> ExpiryProgress:
    """Delete replies about which was decided so long ago; one that nobody has decided about stays."""
    found = await tx.tuples(
        "SELECT seq FROM undecided_reply WHERE seq > :after AND state <> 'undecided' AND owes IS NULL "
        "AND COALESCE(decided_at, received) < :before ORDER BY seq LIMIT :most",
        after=after,
        before=before,
        most=ROWS_AT_ONCE,
    )
    if not found:
        return None, Counter()
    count = await tx.execute(
        f"DELETE FROM undecided_reply WHERE {tx.in_list('seq', 'seqs', 'bigint')}",
        seqs=tx.list_parameter([row[0] for row in found]),
    )
    return found[-1][0], +Counter(undecided_reply=count)


async def delete_handovers(tx: Tx, before: Instant, after: int) -> ExpiryProgress:
    """Delete closed handovers whose messages are all gone. One without a list of its messages was made by an upgrade:
    messages may name it for as long as they are kept, so it stays.
    """
    found = await tx.tuples(
        "SELECT handover_id, messages FROM handover WHERE handover_id > :after AND closed_at < :before "
        "ORDER BY handover_id LIMIT :most",
        after=after,
        before=before,
        most=HANDOVERS_AT_ONCE,
    )
    if not found:
        return None, Counter()
    members = {number: msgspec.json.decode(text, type=list[str]) for number, text in found}
    rows = await tx.tuples(
        f"SELECT DISTINCT handover_id FROM message WHERE {tx.in_list('message_id', 'ids')}",
        ids=tx.list_parameter([message_id for each in members.values() for message_id in each]),
    )
    named = {row[0] for row in rows}
    gone = [number for number, messages in members.items() if messages and number not in named]
    count = await tx.execute(
        f"DELETE FROM handover WHERE {tx.in_list('handover_id', 'ids', 'bigint')}", ids=tx.list_parameter(gone)
    )
    return found[-1][0], +Counter(handover=count)


DECISION_STEPS: Final = (
    delete_decisions,
    delete_inbox_rows,
    delete_stray_replies,
    delete_decided_replies,
    delete_handovers,
)
"""What goes with the decisions, in this order."""
