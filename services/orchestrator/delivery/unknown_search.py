"""Asks providers about messages whose attempt ended without anybody knowing whether they have arrived.

What a provider shows counts as accepted and is never sent again. What it certainly has not had is tried again within
its time to live, and all rules are run before that. Anything else, such as a failing search, leaves the message
unknown. The attempt has always ended before: nothing of it can be written any more.

The time of the next search is written before the provider is asked. So several processes never ask twice for one
message, and a crash costs one search.
"""

import asyncio
from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Row

from schemas.adapter_registry import ProviderSearch
from schemas.message import HandoverResult
from schemas.times import SECOND, Instant
from services.kit.db.database import Database
from services.kit.observability.logs import log
from services.kit.runtime.clock import Clock
from services.orchestrator.decisions import store as ledger_store
from services.orchestrator.delivery.adapters.definition import SearchableAdapter, SearchAnswer, SearchedMessage
from services.orchestrator.delivery.adapters.installed import Adapters
from services.orchestrator.delivery.attempts import AttemptResult
from services.orchestrator.delivery.results import (
    KNOWN_BY_SEARCH,
    NOT_AT_PROVIDER,
    record_absences,
    record_late_results,
)
from services.orchestrator.delivery.search_times import next_search, proves_absence
from services.orchestrator.delivery.unknown_store import find_due_searches, plan_next_searches

SEARCH_INTERVAL: Final = 5.0
"""Seconds between two rounds of a process."""
SEARCH_BATCH: Final = 20
"""Messages of one adapter in a round: a process asks a provider about no more than four a second."""
SEARCH_TIMEOUT: Final = 10.0
"""Seconds for the questions of one adapter in a round."""
PAUSE: Final = 60 * SECOND
"""For how long an adapter whose search has failed is not asked again by this process."""


class UnknownSearch:
    """Searches for messages with an unknown outcome, in one process of several."""

    def __init__(self, database: Database, adapters: Adapters, clock: Clock) -> None:
        self._database, self._adapters, self._clock = database, adapters, clock
        self._paused: dict[str, Instant] = {}

    async def search_due(self) -> None:
        """One round: ask about the messages that are due, a batch for each adapter. Raises Transient."""
        for name, search in self._adapters.searches.items():
            adapter: object = self._adapters.by_name.get(name)
            if isinstance(adapter, SearchableAdapter) and self._paused.get(name, 0) <= self._clock.now():
                await self._search_adapter(name, adapter, search)

    async def _search_adapter(self, name: str, adapter: SearchableAdapter, search: ProviderSearch) -> None:
        started = self._clock.now()
        rows = await self._take_due(name, search, started)
        if not rows:
            return
        answers = await _ask(adapter, rows, name)
        if any(answer.finding == "failed" for answer in answers):
            self._paused[name] = self._clock.now() + PAUSE
        by_id = {row.message_id: row for row in rows}
        found = [_accepted(by_id[answer.message_id], answer, name) for answer in answers if answer.finding == "found"]
        absent = [
            _refused(row, name)
            for answer in answers
            if answer.finding == "absent" and proves_absence(search, _age(row := by_id[answer.message_id], started))
        ]
        async with self._database.write() as tx:
            now = self._clock.now()
            # All at once, in customer order: two steps that lock some each could wait for somebody else, who waits.
            await ledger_store.lock_ledgers(tx, sorted({each.customer for each in (*found, *absent)}))
            await record_late_results(tx, found, now)
            retried = await record_absences(tx, absent, now)
        failed = sum(answer.finding == "failed" for answer in answers)
        counts = {"found": len(found), "retried": len(retried), "failed": failed, "asked": len(rows)}
        log("unknown_searched", level="warning" if failed else "info", adapter=name, **counts)

    async def _take_due(self, name: str, search: ProviderSearch, now: Instant) -> Sequence[Row[Any]]:
        """The messages that are due, after it is written when they are due again."""
        async with self._database.read() as tx:
            if not (due := await find_due_searches(tx, name, now, SEARCH_BATCH)):
                return ()
        async with self._database.write() as tx:
            # Ledgers are locked before messages are read, here and everywhere: no deadlock, and states cannot change.
            await ledger_store.lock_ledgers(tx, sorted({row.customer for row in due}))
            rows = await find_due_searches(tx, name, now, SEARCH_BATCH)
            locked = {row.customer for row in due}
            rows = [row for row in rows if row.customer in locked]
            await plan_next_searches(tx, {row.message_id: _due_next(search, row, now) for row in rows})
            return rows


def _age(row: Row[Any], now: Instant) -> float:
    """Seconds since the attempt ended."""
    return (now - int(row.ended)) / SECOND


def _due_next(search: ProviderSearch, row: Row[Any], now: Instant) -> Instant | None:
    age = next_search(search, _age(row, now))
    return None if age is None else int(row.ended) + int(age * SECOND)


async def _ask(adapter: SearchableAdapter, rows: Sequence[Row[Any]], name: str) -> Sequence[SearchAnswer]:
    messages = [SearchedMessage(row.message_id, row.to_address, row.claimed_at) for row in rows]
    try:
        async with asyncio.timeout(SEARCH_TIMEOUT):
            return await adapter.find_handed_over(messages)
    except Exception as error:  # an adapter's fault must not stop the dispatcher
        log("search_raised", level="error", adapter=name, error_class=type(error).__name__)
        return [SearchAnswer(message.id, "failed") for message in messages]


def _accepted(row: Row[Any], answer: SearchAnswer, name: str) -> AttemptResult:
    result = HandoverResult(row.message_id, "accepted", answer.provider_id, KNOWN_BY_SEARCH)
    return AttemptResult(row.customer, row.attempts, result, may_repeat=False, adapter=name)


def _refused(row: Row[Any], name: str) -> AttemptResult:
    result = HandoverResult(row.message_id, "retry", detail=NOT_AT_PROVIDER)
    return AttemptResult(row.customer, row.attempts, result, may_repeat=False, adapter=name)
