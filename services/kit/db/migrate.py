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
from sqlalchemy import Connection, inspect, text

from services.kit.db.database import Database
from services.kit.errors import Permanent

VERSION_TABLE = "schema_version"
_LOCK = 7_226_113_400
"""The advisory lock under which replicas that start together upgrade one after the other."""


def _migration_scripts(package: str) -> ScriptDirectory:
    source = import_module(package).__file__
    if source is None:
        raise ValueError(f"{package} is not a package with files")
    folder = Path(source).parent / "migrations"
    return ScriptDirectory(str(folder), version_locations=[str(folder)])


def _run_migrations(connection: Connection, package: str) -> None:
    scripts = _migration_scripts(package)
    if connection.dialect.name == "postgresql":
        # Another replica's upgrade may take minutes. Statements of a step read whole tables, and are for once.
        lock_timeout = connection.scalar(text("SHOW lock_timeout"))
        connection.execute(text("SET LOCAL lock_timeout = 0"))
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
        connection.execute(text(f"SET LOCAL lock_timeout = '{lock_timeout}'"))
        connection.execute(text("SET LOCAL enable_seqscan = on"))
    _refuse_unknown_steps(_current_steps(connection, package), scripts)

    def plan_upgrade(revision: Any, _context: Any) -> Any:
        return scripts._upgrade_revs("head", revision)

    with EnvironmentContext(Config(), scripts, fn=plan_upgrade, destination_rev="head") as environment:
        environment.configure(connection=connection, version_table=VERSION_TABLE, render_as_batch=True)
        environment.run_migrations()


class SchemaTooNew(Permanent):
    """A newer version of Tactful has upgraded the database."""


class AnotherServicesSchema(Permanent):
    """The database is that of another service; its steps have the same numbers as ours, and other tables."""


def latest_revision(package: str) -> str:
    """Returns the number of the newest step of `package`'s schema."""
    return ",".join(_migration_scripts(package).get_heads())


async def upgrade_schema(url: str, package: str) -> None:
    """Upgrades the database at `url` to the newest step of `package`; all steps or none.

    Raises SchemaTooNew and AnotherServicesSchema.
    """
    database = Database.open(url, pool=1, patient=True)
    try:
        await database.run_sync(lambda connection: _run_migrations(connection, package))
    finally:
        await database.close()


async def is_up_to_date(url: str, package: str) -> bool:
    """Whether the database at `url` is at the newest step of `package`.

    Raises SchemaTooNew and AnotherServicesSchema.
    """
    scripts = _migration_scripts(package)
    database = Database.open(url, pool=1)
    try:
        current = await database.run_sync(lambda connection: _current_steps(connection, package))
    finally:
        await database.close()
    _refuse_unknown_steps(current, scripts)
    return current == set(scripts.get_heads())


def _current_steps(connection: Connection, package: str) -> set[str]:
    context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
    steps = set(context.get_current_heads())
    own_table = getattr(import_module(package), "OWN_TABLE", None)
    if steps and own_table is not None and not inspect(connection).has_table(own_table):
        raise AnotherServicesSchema(
            f"the database is that of another service (it has no table `{own_table}`), and each has its own: correct "
            "TACTFUL_DATABASE__URL"
        )
    return steps


def _refuse_unknown_steps(current: set[str], scripts: ScriptDirectory) -> None:
    known = {script.revision for script in scripts.walk_revisions()}
    if unknown := current - known:
        raise SchemaTooNew(
            f"the database's schema is at step {', '.join(sorted(unknown))}, and this version of Tactful knows steps "
            f"up to {', '.join(scripts.get_heads())}: start the newer version"
        )
