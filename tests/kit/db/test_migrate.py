"""Migrations run by the program itself, all or nothing, by one replica at a time."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import inspect

from services.kit.db import database as database_module
from services.kit.db.database import Database
from services.kit.db.migrate import is_up_to_date, upgrade_schema
from services.kit.errors import Permanent
from tests.support.recording_consumer import metadata

pytestmark = pytest.mark.wired

SERVICES = ("orchestrator", "preference", "suppression")
_STEP = '''
"""step"""
import sqlalchemy as sa
from alembic import op
from services.kit.db.tables import create_kit_tables
revision = "{revision}"
down_revision = {parent}
def upgrade():
    {body}
'''


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """A package whose migrations a test writes."""
    folder = tmp_path / "package_under_test" / "migrations"
    folder.mkdir(parents=True)
    (folder.parent / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    sys.modules.pop("package_under_test", None)

    def add(number: int, body: str) -> str:
        parent = repr(f"{number - 1:04}") if number > 1 else None
        text = _STEP.format(revision=f"{number:04}", parent=parent, body=body)
        (folder / f"{number:04}_step.py").write_text(text)
        return "package_under_test"

    return add


async def tables(url: str) -> dict[str, set[str]]:
    database = Database.open(url)
    found = await database.run_sync(
        lambda connection: {
            name: {column["name"] for column in inspect(connection).get_columns(name)}
            for name in inspect(connection).get_table_names()
        }
    )
    await database.close()
    return found


async def test_upgrade_goes_to_the_newest_step_and_check_says_so(
    package: Callable[..., str], database_url: str
) -> None:
    name = package(1, "create_kit_tables(op)")
    assert not await is_up_to_date(database_url, name)
    await upgrade_schema(database_url, name)
    assert await is_up_to_date(database_url, name)
    package(2, "op.add_column('dead_letter', sa.Column('extra', sa.Text))")
    assert not await is_up_to_date(database_url, name)
    await upgrade_schema(database_url, name)
    await upgrade_schema(database_url, name)
    assert await is_up_to_date(database_url, name)
    assert "extra" in (await tables(database_url))["dead_letter"]


async def test_the_migration_makes_the_tables_that_the_code_describes(
    package: Callable[..., str], database_url: str
) -> None:
    await upgrade_schema(database_url, package(1, "create_kit_tables(op)"))
    made = await tables(database_url)
    for name in ("partition_lease", "dead_letter", "idempotency"):
        assert made[name] == set(metadata().tables[name].columns.keys())


async def test_a_step_that_fails_leaves_nothing(package: Callable[..., str], database_url: str) -> None:
    package(1, "op.create_table('half', sa.Column('x', sa.Text))")
    name = package(2, "raise KeyError('broken step')")
    with pytest.raises(KeyError):
        await upgrade_schema(database_url, name)
    assert "half" not in await tables(database_url)


@pytest.mark.parametrize("owner", SERVICES)
async def test_the_database_of_another_service_is_refused_whatever_its_step(database_url: str, owner: str) -> None:
    await upgrade_schema(database_url, f"services.{owner}")
    before = await tables(database_url)
    for service in set(SERVICES) - {owner}:
        for use in (is_up_to_date, upgrade_schema):
            with pytest.raises(Permanent, match=r"the database (is that of another service|'s schema is at step)"):
                await use(database_url, f"services.{service}")
    assert await tables(database_url) == before
    assert await is_up_to_date(database_url, f"services.{owner}")


@pytest.mark.integration
async def test_replicas_that_start_together_upgrade_once(package: Callable[..., str], pg_url: str) -> None:
    name = package(1, "create_kit_tables(op)")
    await asyncio.gather(*(upgrade_schema(pg_url, name) for _ in range(4)))
    assert await is_up_to_date(pg_url, name)


@pytest.mark.integration
async def test_a_step_over_many_rows_may_take_long_and_others_wait_for_it(
    package: Callable[..., str], pg_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Longer than a statement of a service, and than its wait for a lock, may. A step waits for locks no longer."""
    monkeypatch.setattr(database_module, "COMMAND_TIMEOUT", 0.5)
    monkeypatch.setitem(database_module._PG_SETTINGS, "lock_timeout", "500")
    seen = 'assert op.get_bind().exec_driver_sql("SHOW lock_timeout").scalar() == "500ms"'
    name = package(1, f'{seen}; op.execute("SELECT pg_sleep(1.5)")')
    await asyncio.gather(*(upgrade_schema(pg_url, name) for _ in range(2)))
    assert await is_up_to_date(pg_url, name)
