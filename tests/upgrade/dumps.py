"""Databases of earlier versions, as SQL: loaded into fresh databases, and read back table by table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import RowMapping, make_url

from services.kit.db.database import Database
from services.kit.db.migrate import VERSION_TABLE
from tests.support.fresh_databases import fill

FOLDER = Path(__file__).parent
VERSIONS = sorted(path.name for path in FOLDER.iterdir() if path.name[0].isdigit())
"""The folders: the day on which the version was the newest."""
SERVICES = ("orchestrator", "preference", "suppression")
Rows = Sequence[RowMapping]

_COLUMNS_OF_POSTGRESQL = """
    SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity::text,
           pg_get_expr(d.adbin, d.adrelid), nullif(a.attcollation, 0)::regcollation::text
    FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
    WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace
"""
_OTHERS_OF_POSTGRESQL = (
    "SELECT relname, reloptions::text FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace",
    "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public'",
    "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint "
    "WHERE connamespace = 'public'::regnamespace",
)
_OF_SQLITE = (
    'SELECT m.name, c.name, c.type, c."notnull", c.dflt_value, c.pk FROM sqlite_master m '
    "JOIN pragma_table_xinfo(m.name) c WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%'",
    "SELECT name, sql FROM sqlite_master WHERE type = 'index'",
    "SELECT m.name, f.* FROM sqlite_master m JOIN pragma_foreign_key_list(m.name) f",
)


def load(url: str, version: str, service: str) -> None:
    """Fill the fresh database at `url` with what a version left. Blocks."""
    dialect = make_url(url).get_backend_name()
    fill(url, (FOLDER / version / f"{service}.{dialect}.sql").read_text())


async def load_empty(url: str, version: str, service: str) -> None:
    """Give the fresh database at `url` the tables of a version, without their rows."""
    load(url, version, service)
    database = Database.open(url, pool=1)
    try:
        await database.run_sync(_clear)
    finally:
        await database.close()


def _clear(connection: sa.Connection) -> None:
    for name in set(sa.inspect(connection).get_table_names()) - {VERSION_TABLE}:
        connection.execute(sa.text(f"DELETE FROM {name}"))


async def read_schema(url: str) -> set[tuple[Any, ...]]:
    """All columns with their types, defaults and collations, indexes, constraints and options, in no order."""
    database = Database.open(url, pool=1)
    is_sqlite = make_url(url).get_backend_name() == "sqlite"
    queries = _OF_SQLITE if is_sqlite else (_COLUMNS_OF_POSTGRESQL, *_OTHERS_OF_POSTGRESQL)
    try:
        async with database.read() as tx:
            return {tuple(row) for query in queries for row in await tx.rows(query)}
    finally:
        await database.close()


async def read_tables(url: str) -> dict[str, Rows]:
    """All rows of all tables."""
    database = Database.open(url, pool=1)
    try:
        return await database.run_sync(_read_tables)
    finally:
        await database.close()


async def read_rows(url: str, name: str) -> Rows:
    """All rows of a table or view."""
    database = Database.open(url, pool=1)
    try:
        return await database.run_sync(
            lambda connection: connection.execute(sa.text(f"SELECT * FROM {name}")).mappings().all()
        )
    finally:
        await database.close()


def _read_tables(connection: sa.Connection) -> dict[str, Rows]:
    names = sa.inspect(connection).get_table_names()
    return {name: connection.execute(sa.text(f"SELECT * FROM {name}")).mappings().all() for name in names}
