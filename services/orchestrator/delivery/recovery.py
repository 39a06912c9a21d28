"""Closes attempts whose owners can no longer do so themselves.

A lease that has expired is no reason to close an attempt: its owner may be frozen, wake up and send. Others may close
it in two cases: when they have proof that the owner is dead, or when deadline, slack and the error of the clocks have
passed, because by then the owner's own alarm has killed it (see `deadline.py` and docs/protocols/Dispatch.tla).
"""

from collections.abc import Mapping, Sequence

from schemas.message import HandoverResult
from schemas.times import SECOND
from services.kit.db.database import Database, Tx
from services.kit.observability.logs import log
from services.kit.runtime.clock import Clock
from services.orchestrator.delivery import store
from services.orchestrator.delivery.adapters.definition import Adapter
from services.orchestrator.delivery.attempts import DISPATCHER_GONE, AttemptResult, OpenAttempt
from services.orchestrator.delivery.delivery import record_results

CLOCK_ERROR = 1.0
"""Seconds by which a dispatcher's clock and the database's may drift apart during one attempt."""
BATCH_SIZE = 200


class AttemptRecovery:
    """Finds attempts that their owners cannot end any more. `deadline`, `slack`: seconds, as set for the owners."""

    def __init__(
        self, database: Database, adapters: Mapping[str, Adapter], clock: Clock, *, deadline: float, slack: float
    ) -> None:
        self._database = database
        self._adapters = adapters
        self._clock = clock
        self._grace_period = int((deadline + slack + CLOCK_ERROR) * SECOND)

    async def close_overdue(self) -> None:
        """Close attempts that were opened longer ago than any handover may take to start."""
        now = await self._database.now()  # one clock for all owners: theirs may differ by CLOCK_ERROR
        async with self._database.write() as tx:
            await self._close_attempts(tx, await store.find_overdue_attempts(tx, now - self._grace_period, BATCH_SIZE))

    async def close_all_open(self) -> None:
        """Close every open attempt. The caller must have proof that no other dispatcher is alive, such as a lock."""
        while True:
            async with self._database.write() as tx:
                open_attempts = await store.find_overdue_attempts(tx, 2**62, BATCH_SIZE)
                await self._close_attempts(tx, open_attempts)
            if len(open_attempts) < BATCH_SIZE:
                return

    async def _close_attempts(self, tx: Tx, open_attempts: Sequence[OpenAttempt]) -> None:
        if not open_attempts:
            return
        log("attempts_closed_for_their_owner", level="warning", count=len(open_attempts))
        results = [
            AttemptResult(
                attempt.customer,
                attempt.number,
                HandoverResult(attempt.message_id, "unknown", detail=DISPATCHER_GONE, retry_after=0.0),
                self._adapters[attempt.channel].idempotent if attempt.channel in self._adapters else False,
                self._adapters[attempt.channel].name if attempt.channel in self._adapters else "",
            )
            for attempt in open_attempts
        ]
        await record_results(tx, results, self._clock.now())
