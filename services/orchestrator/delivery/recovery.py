"""Closes attempts whose owners can no longer do so themselves.

A lease that has expired is no reason to close an attempt: its owner may be frozen, wake up and send. Others may close
it in two cases: when they have proof that the owner is dead, or when deadline, slack and the error of the clocks have
passed, because by then the owner's own alarm has killed it (see `deadline.py` and docs/protocols/Dispatch.tla).
"""

from schemas.message import HandoverResult
from schemas.times import SECOND
from services.kit.db.database import Database, Tx
from services.kit.observability.logs import log
from services.kit.runtime.clock import Clock, Instant
from services.orchestrator.delivery import store
from services.orchestrator.delivery.adapters.installed import Adapters
from services.orchestrator.delivery.attempts import DISPATCHER_GONE, AttemptResult, may_repeat
from services.orchestrator.delivery.delivery import HandoverLimits
from services.orchestrator.delivery.results import record_results

CLOCK_ERROR = 1.0
"""Seconds by which a dispatcher's clock and the database's may drift apart during one attempt."""
BATCH_SIZE = 200
"""Handovers that are closed in one round."""


class AttemptRecovery:
    """Finds attempts that their owners cannot end any more. `limits`: as set for the owners."""

    def __init__(self, database: Database, adapters: Adapters, clock: Clock, limits: HandoverLimits) -> None:
        self._database = database
        self._adapters = adapters
        self._clock = clock
        self._grace_period = int((limits.deadline + limits.slack + CLOCK_ERROR) * SECOND)
        self._max_duplicates = limits.max_duplicates

    async def close_overdue(self) -> None:
        """Close handovers that were opened longer ago than any may take to start."""
        async with self._database.read() as tx:
            now = await tx.now()  # one clock for all owners: theirs may differ by CLOCK_ERROR
            if not await store.find_overdue_handovers(tx, now - self._grace_period, limit=1):
                return
        await self._close_opened_before(now - self._grace_period)

    async def close_all_open(self) -> None:
        """Close every open handover. The caller must have proof that no other dispatcher is alive, such as a lock."""
        await self._close_opened_before(2**62)

    async def _close_opened_before(self, instant: Instant) -> None:
        while True:
            async with self._database.read() as tx:
                overdue = await store.find_overdue_handovers(tx, instant, BATCH_SIZE)
            for handover_id in overdue:
                async with self._database.write() as tx:
                    await self._close(tx, handover_id)
            if len(overdue) < BATCH_SIZE:
                return

    async def _close(self, tx: Tx, handover_id: int) -> None:
        open_attempts = await store.load_open_attempts(tx, handover_id)
        results: list[AttemptResult] = []
        for attempt in open_attempts:
            name = attempt.adapter or self._first_adapter(attempt.channel)
            adapter = self._adapters.by_name.get(name)
            answer = HandoverResult(attempt.message_id, "unknown", detail=DISPATCHER_GONE, retry_after=0.0)
            is_idempotent, most = adapter is not None and adapter.idempotent, self._max_duplicates
            repeats = may_repeat(is_idempotent, attempt.cls, most, maybe_sent=attempt.maybe_sent)
            search_at = self._adapters.first_search(name, self._clock.now())
            results.append(AttemptResult(attempt.customer, attempt.number, answer, repeats, name, search_at))
        if await record_results(tx, handover_id, results, self._clock.now()) and open_attempts:
            log("attempts_closed_for_their_owner", level="warning", count=len(open_attempts))

    def _first_adapter(self, channel: str) -> str:
        """That of handovers which an earlier version has opened: it knew one adapter a channel."""
        routes = self._adapters.routes.get(channel, ())
        return routes[0].adapter if routes else ""
