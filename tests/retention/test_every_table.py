"""Every table of every service has a retention, or a reason why nothing of it ends."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

import pytest

from services.clients.retention_settings import RetentionSettings
from services.kit.db.database import Database
from services.kit.db.migrate import upgrade_schema
from services.orchestrator.retention import retention_rules as orchestrator
from services.preference import retention_rules as preference
from services.retention.kept_kinds import KeptKind
from services.suppression import retention_rules as suppression

pytestmark = pytest.mark.wired
RULES: Mapping[str, tuple[Collection[KeptKind], Mapping[str, str]]] = {
    "orchestrator": (orchestrator.list_kept_kinds(RetentionSettings()), orchestrator.ENDLESS),
    "preference": (preference.list_kept_kinds(RetentionSettings()), preference.ENDLESS),
    "suppression": (suppression.list_kept_kinds(RetentionSettings()), suppression.ENDLESS),
}


@pytest.mark.parametrize("service", RULES)
async def test_every_table_has_a_retention_or_a_reason(service: str, tmp_path: Path) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path / service}.db"
    await upgrade_schema(url, f"services.{service}")
    database = Database.open(url)
    async with database.read() as tx:
        rows = await tx.rows("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
    await database.close()
    kinds, endless = RULES[service]
    # Of SQLite; on PostgreSQL there is `recent_change` as well.
    tables = {row.name for row in rows} | ({"recent_change"} if service != "orchestrator" else set())
    limited = {table for kind in kinds for table in kind.tables}
    assert tables == limited | endless.keys(), "each table has one of them, and each of them a table"
    assert not limited & endless.keys()
    assert all(len(reason) > 6 for reason in endless.values())
