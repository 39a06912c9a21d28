"""The auditor over everything that a run has handed over: it finds no promise broken, and accuses nobody wrongly."""

from __future__ import annotations

import httpx

from services.kit.clock import SystemClock
from services.kit.db import Database
from services.kit.metrics import Registry
from services.orchestrator.audit.auditor import Auditor
from services.orchestrator.audit.series import AuditSeries
from services.orchestrator.metrics import Metrics
from services.orchestrator.recorded import Recorder
from services.preference.client import PreferenceClient
from services.suppression.client import SuppressionClient
from tests.faults.processes import ADDRESS_KEY, SERVICE_KEY
from tests.faults.world import World


async def broken_promises(world: World) -> list[str]:
    """What the auditor finds, in what has come to rest; every ledger is compared."""
    key, clock, database = ADDRESS_KEY.encode(), SystemClock(), Database.open(world.plan.databases["orchestrator"])
    async with (
        httpx.AsyncClient(base_url=world.cluster["preference"].url) as preference,
        httpx.AsyncClient(base_url=world.cluster["suppression"].url) as suppression,
    ):
        recorder = Recorder(
            PreferenceClient(preference, SERVICE_KEY), SuppressionClient(suppression, SERVICE_KEY, key), key
        )
        metrics = Metrics(Registry(), clock)
        auditor = Auditor(database, recorder, clock, metrics, AuditSeries(Registry()), lag=0, sample=1)
        try:
            while await auditor.tick():
                pass
        finally:
            await database.close()
    found = await world.evidence.query("SELECT invariant, subject, rule, detail FROM violation ORDER BY seq")
    return [f"{row['invariant']} by {row['subject']}: {row['rule']} {row['detail']}" for row in found]
