"""Auditor: reads handovers some time after they happened and checks the product's invariants.

Each attempt is audited once, by a cursor in the database, so any number of auditors may run. The auditor limits its own
CPU share; after a burst of handovers it lags behind and catches up later.
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
from services.orchestrator.decisions import store as ledger_store
from services.orchestrator.insight.audit import store
from services.orchestrator.insight.audit.audit_series import AuditMetrics
from services.orchestrator.insight.audit.evidence import EvidenceReader
from services.orchestrator.insight.audit.invariants import Evidence, find_violations
from services.orchestrator.insight.audit.ledger_check import find_ledger_difference
from services.orchestrator.insight.audit.store import Violation
from services.orchestrator.insight.history_reader import HistoryReader

PAGE_SIZE = 100
AUDIT_DELAY = 30 * SECOND
"""Microseconds (database time) that an attempt must be old, so that facts around it have reached the history."""
CPU_SHARE = 0.05
"""The largest share of one CPU core that the auditor uses."""
IDLE_WAIT = 5.0
LEDGER_CHECK_INTERVAL = 100
"""One of so many customers has its ledger compared with its history."""


class Auditor:
    """Audits pages of handovers: `audit_page` does one, `run_until_stopped` goes on."""

    def __init__(
        self,
        database: Database,
        recorder: HistoryReader,
        clock: Clock,
        metrics: AuditMetrics,
        *,
        delay: int = AUDIT_DELAY,
        ledger_check_interval: int = LEDGER_CHECK_INTERVAL,
    ) -> None:
        """`delay` is in microseconds; one of `ledger_check_interval` customers has its ledger compared."""
        self._database = database
        self._evidence_reader = EvidenceReader(database, recorder)
        self._clock = clock
        self._metrics = metrics
        self._delay = delay
        self._ledger_check_interval = ledger_check_interval
        self._customer_counter = 0

    async def run_until_stopped(self, stop: asyncio.Event) -> None:
        """Audits until stopped, pausing to stay within the CPU share."""
        while not stop.is_set():
            began, pause = time.monotonic(), IDLE_WAIT
            try:
                if await self.audit_page():
                    pause = (time.monotonic() - began) * (1 / CPU_SHARE - 1)
            except Transient as error:
                log("audit_waits", level="warning", reason=error.code, detail=error.detail)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), pause)

    async def audit_page(self) -> bool:
        """Audits the next page. Returns whether there was one. Raises Transient."""
        async with self._database.read() as tx:
            before = await store.get_cursor(tx)
            page = await store.load_page(tx, before, await tx.now() - self._delay, PAGE_SIZE)
        if page.end == before:
            return False
        # Evidence is read outside any transaction: the write below takes effect only if the cursor has not moved.
        evidence = await self._evidence_reader.read_evidence(page.handovers)
        violations = await asyncio.to_thread(lambda: [each for item in evidence for each in find_violations(item)])
        violations += await self._check_ledgers(evidence)
        async with self._database.write() as tx:
            new_violations = await store.record_page(tx, before, page.end, violations, self._clock.now())
        if new_violations is not None:
            self._report_violations(new_violations)
            reached = max((item.handover.claimed_at for item in evidence), default=0)
            self._metrics.record_page(len(evidence), reached)
        return True

    async def _check_ledgers(self, evidence: Sequence[Evidence]) -> list[Violation]:
        """Compares ledger, contact history and messages for a sample of the page's customers."""
        violations: list[Violation] = []
        for customer in sorted({item.handover.customer for item in evidence}):
            self._customer_counter = (self._customer_counter + 1) % self._ledger_check_interval
            if self._customer_counter == 0 and (differs := await self._find_difference(customer)) is not None:
                now = self._clock.now()
                violations.append(Violation("ledger_differs", customer, customer, "ledger", differs, None, now))
        return violations

    async def _find_difference(self, customer: str) -> str | None:
        async with self._database.read() as tx:
            # One snapshot for all three: a claim committed between two reads would look like a difference.
            versioned_ledger = (await ledger_store.load_ledgers(tx, [customer])).get(
                customer, ledger_store.EMPTY_LEDGER
            )
            history = await ledger_store.load_contact_history(tx, customer)
            messages = [contact.message_id for contact in versioned_ledger.ledger]
            states = await store.load_message_states(tx, customer, messages)
        return await asyncio.to_thread(find_ledger_difference, versioned_ledger.ledger, history, states)

    def _report_violations(self, new_violations: Sequence[Violation]) -> None:
        for each in new_violations:
            self._metrics.record_violation(each.invariant)
            log("invariant_violated", level="error", invariant=each.invariant, about=each.subject, rule=each.rule)
