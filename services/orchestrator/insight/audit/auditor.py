"""Reads what was handed over, a while later, and looks whether every promise was kept.

Each attempt is audited once, by a cursor in the database; any number of auditors may run. It takes a small share of
the time, so after a rush it lags behind and catches up later.
"""

import asyncio
import contextlib
import time
from collections.abc import Sequence

from schemas.times import SECOND
from services.kit.db.database import Database
from services.kit.errors import Transient
from services.kit.observability.logs import log
from services.kit.runtime.clock import Clock
from services.orchestrator.decisions import store as data
from services.orchestrator.insight.audit import store
from services.orchestrator.insight.audit.audit_series import AuditSeries
from services.orchestrator.insight.audit.evidence import Gathering
from services.orchestrator.insight.audit.invariants import Evidence, broken
from services.orchestrator.insight.audit.ledger_check import difference
from services.orchestrator.insight.audit.store import Broken
from services.orchestrator.insight.history_reader import HistoryReader
from services.orchestrator.metrics import OrchestratorMetrics

PAGE = 100
LAG = 30 * SECOND
"""An attempt this young (by the database's time) waits: facts around it may still be on their way to the history."""
SHARE = 0.05
"""Of one processor's time at most."""
IDLE = 5.0
SAMPLE = 100
"""Of so many customers one has its ledger compared."""


class Auditor:
    """Audits; `tick` does a page, `run` goes on for ever."""

    def __init__(
        self,
        database: Database,
        recorder: HistoryReader,
        clock: Clock,
        metrics: OrchestratorMetrics,
        series: AuditSeries,
        *,
        lag: int = LAG,
        sample: int = SAMPLE,
    ) -> None:
        """`lag` in microseconds; one of `sample` customers has its ledger compared."""
        self._database = database
        self._gathering = Gathering(database, recorder)
        self._clock = clock
        self._metrics = metrics
        self._series = series
        self._lag = lag
        self._sample = sample
        self._turn = 0

    async def run(self, stop: asyncio.Event) -> None:
        """Audit until stopped, and rest most of the time."""
        while not stop.is_set():
            began, pause = time.monotonic(), IDLE
            try:
                if await self.tick():
                    pause = (time.monotonic() - began) * (1 / SHARE - 1)
            except Transient as error:
                log("audit_waits", level="warning", reason=error.code, detail=error.detail)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), pause)

    async def tick(self) -> bool:
        """Audit the next page; whether there was anything. Raises Transient."""
        real = await self._database.now()
        async with self._database.read() as tx:
            before = await store.cursor(tx)
            page = await store.following(tx, before, real - self._lag, PAGE)
        if page.end == before:
            return False
        evidence = await self._gathering.of(page.handovers)
        found = [each for item in evidence for each in broken(item)]
        found += await self._ledgers(evidence)
        async with self._database.write() as tx:
            fresh = await store.keep(tx, before, page.end, found, self._clock.now())
        if fresh is not None:
            self._tell(fresh)
            reached = max((item.handover.marked_at for item in evidence), default=0)
            self._series.audited(len(evidence), reached)
        return True

    async def _ledgers(self, evidence: Sequence[Evidence]) -> list[Broken]:
        """Of some of the customers: does the ledger say what its history and the messages say?"""
        found: list[Broken] = []
        for customer in sorted({item.handover.customer for item in evidence}):
            self._turn = (self._turn + 1) % self._sample
            if self._turn == 0 and (differs := await self._differs(customer)) is not None:
                now = self._clock.now()
                found.append(Broken("ledger_differs", customer, customer, "ledger", differs, None, now))
        return found

    async def _differs(self, customer: str) -> str | None:
        async with self._database.read() as tx:
            held = (await data.load_ledgers(tx, [customer])).get(customer, data.EMPTY_LEDGER)
            history = await data.load_contact_history(tx, customer)
            messages = [contact.message_id for contact in held.ledger]
            return difference(held.ledger, history, await store.states(tx, customer, messages))

    def _tell(self, fresh: Sequence[Broken]) -> None:
        for each in fresh:
            self._metrics.violations(each.invariant).inc()
            log("invariant_violated", level="error", invariant=each.invariant, about=each.subject, rule=each.rule)
