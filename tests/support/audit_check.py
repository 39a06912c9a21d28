"""Runs the auditor over everything that a fault test has sent: it must report no violation."""

from __future__ import annotations

import httpx

from services.clients.address_hashes import AddressHasher
from services.clients.preference import PreferenceClient
from services.clients.suppression import SuppressionClient
from services.kit.db.database import Database
from services.kit.observability.metrics import Registry
from services.kit.runtime.clock import SystemClock
from services.orchestrator.insight.audit.audit_series import AuditMetrics
from services.orchestrator.insight.audit.auditor import Auditor
from services.orchestrator.insight.history_reader import HistoryReader
from tests.support.installation import Installation
from tests.support.service_processes import ADDRESS_KEY, SERVICE_KEY


async def broken_promises(world: Installation) -> list[str]:
    """What the auditor finds, in what has come to rest; every ledger is compared."""
    key, clock, database = ADDRESS_KEY.encode(), SystemClock(), Database.open(world.plan.databases["orchestrator"])
    async with (
        httpx.AsyncClient(base_url=world.cluster["preference"].url) as preference,
        httpx.AsyncClient(base_url=world.cluster["suppression"].url) as suppression,
    ):
        recorder = HistoryReader(
            PreferenceClient(preference, SERVICE_KEY),
            SuppressionClient(suppression, SERVICE_KEY, key),
            AddressHasher(key, None),
        )
        auditor = Auditor(database, recorder, clock, AuditMetrics(Registry()), delay=0, ledger_check_interval=1)
        try:
            while await auditor.audit_page():
                pass
        finally:
            await database.close()
    found = await world.evidence.query("SELECT invariant, subject, rule, detail FROM violation ORDER BY seq")
    return [f"{row['invariant']} by {row['subject']}: {row['rule']} {row['detail']}" for row in found]
