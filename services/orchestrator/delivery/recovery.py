"""Closes attempts for owners that can no longer do so themselves.

An attempt ends by its owner's own result row, never by a lease alone: a frozen owner could wake up and send. Two
things allow others to close it: proof that the owner is dead, or that deadline, slack and the clocks' error have
passed, after which its own alarm has killed it (see `deadline.py`).
"""

from collections.abc import Mapping, Sequence

from schemas.message import Handed
from schemas.times import SECOND
from services.kit.db.database import Database, Tx
from services.kit.observability.logs import log
from services.kit.runtime.clock import Clock
from services.orchestrator.delivery import attempts
from services.orchestrator.delivery.adapters import Adapter
from services.orchestrator.delivery.attempts import GONE, Open
from services.orchestrator.delivery.results import Result, settle

CLOCK_ERROR = 1.0
"""Seconds by which a dispatcher's clock and the database's may run apart during one attempt."""
BATCH = 200


class Recovery:
    """Finds attempts that nobody will end. `wait`: seconds of the database's clock after which that is certain."""

    def __init__(
        self, database: Database, adapters: Mapping[str, Adapter], clock: Clock, *, deadline: float, slack: float
    ) -> None:
        self._database = database
        self._adapters = adapters
        self._clock = clock
        self._wait = int((deadline + slack + CLOCK_ERROR) * SECOND)

    async def close_overdue(self) -> None:
        """Close what was opened longer ago than any handover may take to start."""
        now = await self._database.now()
        async with self._database.write() as tx:
            await self._close(tx, await attempts.overdue(tx, now - self._wait, BATCH))

    async def close_of_the_dead(self) -> None:
        """Close every open attempt. Only for who has proof that no other dispatcher lives, such as a lock."""
        while True:
            async with self._database.write() as tx:
                found = await attempts.overdue(tx, 2**62, BATCH)
                await self._close(tx, found)
            if len(found) < BATCH:
                return

    async def _close(self, tx: Tx, found: Sequence[Open]) -> None:
        if not found:
            return
        log("attempts_closed_for_their_owner", level="warning", count=len(found))
        results = [
            Result(
                each.customer,
                each.number,
                Handed(each.message_id, "unknown", detail=GONE, retry_after=0.0),
                self._adapters[each.channel].idempotent if each.channel in self._adapters else False,
                self._adapters[each.channel].name if each.channel in self._adapters else "",
            )
            for each in found
        ]
        await settle(tx, results, self._clock.now())
