"""Schema migrations with Alembic, run by the program itself. A service's steps are files `migrations/0001_*.py` in its
package.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from services.kit.db.database import Database

VERSION_TABLE = "schema_version"
_LOCK = 7_226_113_400
"""The advisory lock under which replicas that start together upgrade one after the other."""


def _migration_scripts(package: str) -> ScriptDirectory:
    source = import_module(package).__file__
    if source is None:
        raise ValueError(f"{package} is not a package with files")
    folder = Path(source).parent / "migrations"
    return ScriptDirectory(str(folder), version_locations=[str(folder)])


def _run_migrations(connection: Connection, scripts: ScriptDirectory) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})

    def plan_upgrade(revision: Any, _context: Any) -> Any:
        return scripts._upgrade_revs("head", revision)

    with EnvironmentContext(Config(), scripts, fn=plan_upgrade, destination_rev="head") as environment:
        environment.configure(connection=connection, version_table=VERSION_TABLE, render_as_batch=True)
        environment.run_migrations()


def latest_revision(package: str) -> str:
    """Returns the number of the newest step of `package`'s schema."""
    return ",".join(_migration_scripts(package).get_heads())


async def upgrade_schema(url: str, package: str) -> None:
    """Upgrades the database at `url` to the newest step of `package`; all steps or none."""
    database = Database.open(url, pool=1)
    try:
        await database.run_sync(lambda connection: _run_migrations(connection, _migration_scripts(package)))
    finally:
        await database.close()


async def is_up_to_date(url: str, package: str) -> bool:
    """Whether the database at `url` is at the newest step of `package`."""

    def current_heads(connection: Connection) -> set[str]:
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
        return set(context.get_current_heads())

    database = Database.open(url, pool=1)
    try:
        return await database.run_sync(current_heads) == set(_migration_scripts(package).get_heads())
    finally:
        await database.close()
