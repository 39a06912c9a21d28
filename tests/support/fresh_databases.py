"""Fresh databases for tests, at the newest step of a service's schema.

Running all migrations takes 0.2 to 1 second, and about a thousand tests need a database of their own. So each process
migrates one template for each service and dialect, and `migrate` copies it: a file on SQLite, CREATE DATABASE ...
TEMPLATE on PostgreSQL. A database that is not fresh is migrated as the services do it.
"""

from __future__ import annotations

import asyncio
import atexit
import shutil
import sqlite3
import tempfile
from collections.abc import AsyncIterator, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import asyncpg
from sqlalchemy.engine import URL, make_url

from services.kit.db.migrate import upgrade_schema

_apart = ThreadPoolExecutor(1, thread_name_prefix="fresh-databases")
"""Callers may be inside a running event loop, and fixtures that are not asynchronous need databases too."""
_templates: dict[tuple[str, str], str] = {}
"""(server or dialect, package) -> URL or file of the template."""
_empty: set[str] = set()
"""URLs of PostgreSQL databases that `create_postgres` has made and nobody has migrated."""


def create_postgres(url: str, template: str | None = None) -> None:
    """Create the PostgreSQL database that `url` names."""
    _run(_create(make_url(url), template))
    if template is None:
        _empty.add(url)


def fill(url: str, script: str) -> None:
    """Run a script of SQL in the fresh database that `url` names. It is not fresh from then on."""
    made = make_url(url)
    if made.get_backend_name() == "sqlite":
        with closing(sqlite3.connect(str(made.database))) as database:
            database.executescript(script)
    else:
        _empty.discard(url)
        _run(_execute(made, script))


def migrate(url: str, package: str) -> None:
    """Bring a database to the newest step of `package`, quickly if it is fresh. Blocks, about 50 ms."""
    made = make_url(url)
    if made.get_backend_name() == "sqlite" and made.database is not None:
        if Path(made.database).exists():
            _run(upgrade_schema(url, package))
        else:
            Path(made.database).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(_sqlite_template(package), made.database)
    elif url in _empty:
        _empty.discard(url)
        _run(_create(made, _postgres_template(made, package), instead=True))
    else:
        _run(upgrade_schema(url, package))


def _sqlite_template(package: str) -> str:
    key = ("sqlite", package)
    if key not in _templates:
        folder = tempfile.mkdtemp(prefix="tactful-templates-")
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        path = f"{folder}/{package}.db"
        _run(upgrade_schema(f"sqlite+aiosqlite:///{path}", package))
        _templates[key] = path
    return _templates[key]


def _postgres_template(near: URL, package: str) -> str:
    key = (f"{near.host}:{near.port}", package)
    if key not in _templates:
        url = near.set(database=f"template_of_{package}").render_as_string(hide_password=False)
        _run(_create(make_url(url), None))
        _run(upgrade_schema(url, package))
        _templates[key] = url
    return _templates[key]


async def _create(made: URL, template: str | None, instead: bool = False) -> None:
    """Create a database. `instead`: of the one of that name.

    PostgreSQL 15 and later would by default write each page of the copy to its log, which takes 50 ms instead of 10.
    """
    async with _connected(made, "postgres") as connection:
        source = make_url(template).database if template else "template1"
        strategy = " STRATEGY FILE_COPY" if connection.get_server_version().major >= 15 else ""
        if instead:
            await connection.execute(f'DROP DATABASE "{made.database}"')
        await connection.execute(f'CREATE DATABASE "{made.database}" TEMPLATE "{source}"{strategy}')


async def _execute(near: URL, script: str) -> None:
    async with _connected(near, near.database) as connection:
        await connection.execute(script)


@asynccontextmanager
async def _connected(near: URL, database: str | None) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(host=near.host, port=near.port, user=near.username, database=database)
    try:
        yield connection
    finally:
        await connection.close()


def _run(work: Coroutine[Any, Any, None]) -> None:
    _apart.submit(asyncio.run, work).result()
