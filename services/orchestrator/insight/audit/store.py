"""SQL of the auditor: handovers to audit, what is recorded about them, and violations found."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Row

from schemas.times import Instant
from schemas.vocabulary import MessageState
from services.kit.db.database import Tx
from services.orchestrator.decisions.store import HISTORY_COLUMNS
from services.orchestrator.delivery.attempts import DISPATCHER_GONE

MAX_VIOLATIONS = 10_000


class AuditedHandover(NamedTuple):
    """An attempt that may have reached a customer, and its message as it is now. `claimed_at` is ledger time."""

    message_id: str
    customer: str
    channel: str
    campaign: str
    outcome: str
    claimed_at: Instant
    closed_at: Instant
    version: int
    first_planned: Instant | None
    event_source: str
    event_id: str


class HandoverPage(NamedTuple):
    """The handovers after a cursor. `end`: the new cursor; attempts that reached nobody are skipped."""

    end: int
    handovers: list[AuditedHandover]


class Violation(NamedTuple):
    """A violated invariant. `subject` is a message id, or a customer id where the ledger is meant."""

    invariant: str
    subject: str
    customer: str
    rule: str
    detail: str
    policy_version: int | None
    marked_at: Instant


async def get_cursor(tx: Tx) -> int:
    """Returns the last audited claim, as its position in the contact history."""
    row = await tx.row("SELECT seq FROM audit_cursor WHERE id = 1")
    return 0 if row is None else int(row.seq)


class AuditSummary(NamedTuple):
    """What the auditors of all processes have found. `reached`: the last audited claim; None before the first."""

    violations: int
    reached: Instant | None


async def load_audit_summary(tx: Tx) -> AuditSummary:
    """Returns the number of recorded violations, and how far the handovers have been audited."""
    row = await tx.row(
        "SELECT (SELECT count(*) FROM violation) AS violations, (SELECT h.at FROM contact_history h"
        " WHERE h.seq = (SELECT seq FROM audit_cursor WHERE id = 1)) AS reached"
    )
    assert row is not None
    return AuditSummary(int(row.violations), row.reached)


_CLAIMS_SQL = """
    SELECT h.seq, h.message_id, h.customer, h.channel, h.campaign, h.at AS claimed_at, m.state, m.version, m.since,
           m.event_source, m.event_id, m.claimed_at AS last_claimed_at, m.opened AS last_opened,
           m.closed_at AS last_closed,
           a.outcome, a.detail, a.opened, a.closed_at
    FROM contact_history h JOIN tracked_message m ON m.message_id = h.message_id
    LEFT JOIN attempt a ON a.message_id = h.message_id AND a.claimed_at = h.at
    WHERE h.seq > :after AND h.state = 'made' AND h.reported = 0 ORDER BY h.seq LIMIT :limit
"""


async def load_page(tx: Tx, after: int, opened_before: Instant, limit: int) -> HandoverPage:
    """Returns the next claims, up to the first whose attempt is still open or younger than `opened_before` (database
    time).

    An attempt without another recorded end was accepted. One with an unknown outcome counts if the provider was called:
    then its detail names the error.
    """
    end, handovers = after, []
    for row in await tx.rows(_CLAIMS_SQL, after=after, limit=limit):
        is_last_attempt = row.outcome is None and row.last_claimed_at == row.claimed_at
        # The page ends at the first claim that cannot be audited yet, even if later ones could: the cursor is a single
        # position, and what it has passed is never read again.
        if is_last_attempt and row.state == MessageState.HANDING_OVER:
            break
        if ((row.last_opened if is_last_attempt else row.opened) or 0) > opened_before:
            break
        end = row.seq
        provider_called = row.detail is not None and row.detail != DISPATCHER_GONE
        if row.outcome is None or (row.outcome == "unknown" and provider_called):
            closed_at = (row.last_closed if is_last_attempt else row.closed_at) or row.claimed_at
            handovers.append(
                AuditedHandover(
                    *(row.message_id, row.customer, row.channel, row.campaign, row.outcome or "accepted"),
                    *(row.claimed_at, closed_at, row.version, row.since, row.event_source, row.event_id),
                )
            )
    return HandoverPage(end, handovers)


async def find_explained(tx: Tx, customers: Sequence[str], messages: Sequence[str]) -> set[str]:
    """Returns those of the messages that have a `send` decision with a trace."""
    rows = await tx.rows(
        f"SELECT DISTINCT message_id FROM decision WHERE {tx.in_list('customer', 'customers')} "
        f"AND {tx.in_list('message_id', 'ids')} AND outcome = 'send' AND length(body) > 0",
        customers=tx.list_parameter(customers),
        ids=tx.list_parameter(messages),
    )
    return {row.message_id for row in rows}


async def load_accepted_claim_times(tx: Tx, customers: Sequence[str], messages: Sequence[str]) -> dict[str, Instant]:
    """Returns when each message was claimed for its accepted attempt; the first, if there are several."""
    rows = await tx.rows(
        f"SELECT h.message_id, h.at FROM contact_history h WHERE {tx.in_list('h.customer', 'customers')} "
        f"AND {tx.in_list('h.message_id', 'ids')} AND h.state = 'made' AND NOT EXISTS "
        "(SELECT 1 FROM attempt a WHERE a.message_id = h.message_id AND a.claimed_at = h.at) ORDER BY h.seq DESC",
        customers=tx.list_parameter(customers),
        ids=tx.list_parameter(messages),
    )
    return {row.message_id: row.at for row in rows}


async def load_contact_rows(tx: Tx, customers: Sequence[str], since: Instant) -> dict[str, list[Row[Any]]]:
    """Returns the contact history of these customers from an instant on, in the order of writing."""
    rows = await tx.rows(
        f"SELECT {', '.join(HISTORY_COLUMNS)} FROM contact_history "
        f"WHERE {tx.in_list('customer', 'customers')} AND recorded >= :since ORDER BY customer, seq",
        customers=tx.list_parameter(customers),
        since=since,
    )
    rows_by_customer: dict[str, list[Row[Any]]] = {customer: [] for customer in customers}
    for row in rows:
        rows_by_customer[row.customer].append(row)
    return rows_by_customer


async def load_message_states(tx: Tx, customer: str, messages: Sequence[str]) -> Mapping[str, str]:
    """Returns the states of these messages, and of all messages of the customer that wait or are being handed over."""
    rows = await tx.rows(
        "SELECT message_id, state FROM tracked_message WHERE customer = :customer "
        f"AND ({tx.in_list('message_id', 'ids')} OR state IN ('planned', 'pending', 'retry', 'handing_over'))",
        customer=customer,
        ids=tx.list_parameter(messages),
    )
    return {row.message_id: row.state for row in rows}


async def record_page(
    tx: Tx, before: int, after: int, violations: Sequence[Violation], now: Instant
) -> list[Violation] | None:
    """Moves the cursor and stores new violations. Returns those, or None if another auditor has recorded this page."""
    # Compare and set: of several auditors that read the same page, only the first moves the cursor and counts.
    if not await tx.execute(
        "UPDATE audit_cursor SET seq = :after WHERE id = 1 AND seq = :before", after=after, before=before
    ):
        return None
    new_violations = [each for each in violations if await _insert_violation(tx, each, now)]
    if new_violations:
        await tx.execute(f"DELETE FROM violation WHERE seq <= (SELECT max(seq) FROM violation) - {MAX_VIOLATIONS}")
    return new_violations


async def _insert_violation(tx: Tx, violation: Violation, now: Instant) -> int:
    return await tx.execute(
        "INSERT INTO violation (invariant, subject, customer, rule, detail, policy_version, marked_at, found) "
        "VALUES (:invariant, :subject, :customer, :rule, :detail, :policy_version, :marked_at, :now) "
        "ON CONFLICT (invariant, subject) DO NOTHING",
        **violation._asdict(),
        now=now,
    )


async def list_violations(tx: Tx, before: int, limit: int, invariant: str | None = None) -> Sequence[Row[Any]]:
    """Returns violations, newest first."""
    invariant_condition = "" if invariant is None else "AND invariant = :invariant"
    parameters = {} if invariant is None else {"invariant": invariant}
    return await tx.rows(
        "SELECT seq, invariant, subject, customer, rule, detail, policy_version, marked_at, found FROM violation "
        f"WHERE seq < :before {invariant_condition} ORDER BY seq DESC LIMIT :limit",
        before=before,
        limit=limit,
        **parameters,
    )
