"""Everything that a batch of judgements changes, in the caller's one transaction.

The ledgers that change are locked in customer order. Whoever else wrote one of them since it was read wins: its
customer is judged again, on the ledger as it is now, under the lock. A waiting message that somebody else has moved
meanwhile is dropped from the batch.
"""

from collections.abc import Awaitable, Callable, Sequence

from schemas.times import Instant
from services.kit.db.database import Tx
from services.orchestrator.decisions import store
from services.orchestrator.decisions.evaluation import CustomerEvaluation
from services.orchestrator.decisions.store import EMPTY_LEDGER, VersionedLedger
from services.orchestrator.delivery import store as delivery_store

Reevaluate = Callable[[CustomerEvaluation, VersionedLedger], CustomerEvaluation]
ClaimMessages = Callable[[Sequence[CustomerEvaluation]], Awaitable[None]]


async def write_evaluations(
    tx: Tx,
    evaluations: Sequence[CustomerEvaluation],
    now: Instant,
    complete_since: Instant,
    reevaluate: Reevaluate,
    claim: ClaimMessages | None = None,
) -> list[CustomerEvaluation]:
    """Write the works; returns them as they were written, those that lost a race judged again.

    `since`: the instant from which on a ledger must be complete. `mark`: marks what goes the straight way.
    """
    current = await _lock_and_reevaluate(tx, evaluations, complete_since, reevaluate)
    if claim is not None:
        await claim(current)
    changed_ledgers = {
        evaluation.customer: evaluation.ledger
        for evaluation in current
        if evaluation.ledger is not evaluation.base.ledger
    }
    await store.save_ledgers(tx, changed_ledgers)
    await delivery_store.write_messages(tx, current, now)
    await store.insert_decisions(tx, [decision for evaluation in current for decision in evaluation.decisions])
    rows = [
        row
        for evaluation in current
        for row in store.contact_history_rows(
            evaluation.customer, evaluation.base.ledger, evaluation.ledger, now, list(evaluation.claims)
        )
    ]
    await store.insert_contact_history(tx, rows)
    return current


async def _lock_and_reevaluate(
    tx: Tx, evaluations: Sequence[CustomerEvaluation], complete_since: Instant, reevaluate: Reevaluate
) -> list[CustomerEvaluation]:
    to_lock = [evaluation for evaluation in evaluations if evaluation.writes_ledger]
    if not to_lock:
        return list(evaluations)
    new_customers = [evaluation.customer for evaluation in to_lock if evaluation.base.version == 0]
    versions = await store.lock_ledgers(tx, [evaluation.customer for evaluation in to_lock], new_customers)
    outdated = [
        evaluation.customer for evaluation in to_lock if versions[evaluation.customer] != evaluation.base.version
    ]
    reloaded = await store.load_ledgers(tx, outdated, complete_since)
    changed_messages = await _changed_messages(tx, to_lock)
    result: list[CustomerEvaluation] = []
    for evaluation in evaluations:
        if not changed_messages.isdisjoint(evaluation.expected_states):
            continue
        base = reloaded.get(evaluation.customer)
        result.append(evaluation if base is None else reevaluate(evaluation, base))
    return result


async def _changed_messages(tx: Tx, evaluations: Sequence[CustomerEvaluation]) -> set[str]:
    expected = {message: state for evaluation in evaluations for message, state in evaluation.expected_states.items()}
    found = await delivery_store.load_message_states(tx, list(expected))
    return {message for message, state in expected.items() if found.get(message) != state}


def ledger_or_empty(ledgers: dict[str, VersionedLedger], customer: str) -> VersionedLedger:
    """The customer's ledger among those read, or an empty one."""
    return ledgers.get(customer, EMPTY_LEDGER)
