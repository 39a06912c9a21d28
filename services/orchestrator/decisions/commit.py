"""Everything that a batch of judgements changes, in the caller's one transaction.

The ledgers that change are locked in customer order. Whoever else wrote one of them since it was read wins: its
customer is judged again, on the ledger as it is now, under the lock. A waiting message that somebody else has moved
meanwhile is dropped from the batch.
"""

from collections.abc import Awaitable, Callable, Sequence

from schemas.times import Instant
from services.kit.db.database import Tx
from services.orchestrator.decisions import store
from services.orchestrator.decisions.evaluation import Work
from services.orchestrator.decisions.store import NOTHING_HELD, Held
from services.orchestrator.delivery import store as delivery_store

JudgeAgain = Callable[[Work, Held], Work]
Mark = Callable[[Sequence[Work]], Awaitable[None]]


async def write(
    tx: Tx,
    works: Sequence[Work],
    now: Instant,
    since: Instant,
    judge_again: JudgeAgain,
    mark: Mark | None = None,
) -> list[Work]:
    """Write the works; returns them as they were written, those that lost a race judged again.

    `since`: the instant from which on a ledger must be complete. `mark`: marks what goes the straight way.
    """
    current = await _current(tx, works, since, judge_again)
    if mark is not None:
        await mark(current)
    saved = {work.customer: work.ledger for work in current if work.ledger is not work.held.ledger}
    await store.save_ledgers(tx, saved)
    await delivery_store.keep(tx, current, now)
    await store.keep_decisions(tx, [decision for work in current for decision in work.decisions])
    rows = [
        row
        for work in current
        for row in store.history(work.customer, work.held.ledger, work.ledger, now, list(work.marked))
    ]
    await store.keep_history(tx, rows)
    return current


async def _current(tx: Tx, works: Sequence[Work], since: Instant, judge_again: JudgeAgain) -> list[Work]:
    locking = [work for work in works if work.writes_ledger]
    if not locking:
        return list(works)
    fresh = [work.customer for work in locking if work.held.version == 0]
    versions = await store.lock_ledgers(tx, [work.customer for work in locking], fresh)
    lost = [work.customer for work in locking if versions[work.customer] != work.held.version]
    reread = await store.ledgers(tx, lost, since)
    moved = await _moved(tx, locking)
    result: list[Work] = []
    for work in works:
        if not moved.isdisjoint(work.again):
            continue
        held = reread.get(work.customer)
        result.append(work if held is None else judge_again(work, held))
    return result


async def _moved(tx: Tx, works: Sequence[Work]) -> set[str]:
    expected = {message: state for work in works for message, state in work.again.items()}
    found = await delivery_store.states(tx, list(expected))
    return {message for message, state in expected.items() if found.get(message) != state}


def held_by(ledgers: dict[str, Held], customer: str) -> Held:
    """The customer's ledger among those read, or an empty one."""
    return ledgers.get(customer, NOTHING_HELD)
