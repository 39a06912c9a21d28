"""SQLite connections that run a statement in one call to their thread.

aiosqlite runs everything of a connection in a thread of its own, and SQLAlchemy's adapter calls it four times for a
statement: to make a cursor, to execute, to fetch, to close. Each call wakes two threads and waits for a turn of the
event loop, which costs as much as a small query. Rows are fetched whole in either way.
"""

import sqlite3
from collections import deque
from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

from sqlalchemy import Connection, Engine, event
from sqlalchemy.dialects.sqlite.aiosqlite import AsyncAdapt_aiosqlite_connection, AsyncAdapt_aiosqlite_cursor


class RunStatement(NamedTuple):
    """What is left of a driver's cursor once its statement has run: what a cursor tells of it, and its rows."""

    description: Any
    rowcount: int
    lastrowid: int | None
    rows: Sequence[Any]


_SQLITE_SETTINGS = (
    *("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"),
    "secure_delete=ON",  # deleted bytes are overwritten: an erased customer's must not stay in free pages
)
NOTHING_RUN = RunStatement(None, -1, None, ())


def run_statement(connection: sqlite3.Connection, sql: str, parameters: Any, many: bool) -> RunStatement:
    """Runs a statement, `many`: once for each set of parameters. For the connection's thread."""
    cursor = connection.cursor()
    try:
        if many:
            cursor.executemany(sql, parameters)
        else:
            cursor.execute(sql, parameters)
        rows = cursor.fetchall() if cursor.description else ()
        return RunStatement(cursor.description, cursor.rowcount, cursor.lastrowid, rows)
    finally:
        cursor.close()


class WholeStatementCursor(AsyncAdapt_aiosqlite_cursor):
    """A cursor that SQLAlchemy uses as its own adapter's; the driver's cursor is closed before its rows are read."""

    __slots__ = ()

    _awaitable_cursor_close = False

    def __init__(self, adapt_connection: "WholeStatementConnection") -> None:
        self._adapt_connection = adapt_connection
        self._connection = adapt_connection._connection
        self._cursor: Any = NOTHING_RUN
        self._soft_closed_memoized: Any = {}
        self._rows = deque()

    def close(self) -> None:
        """Forgets rows that were not read."""
        self._rows.clear()

    async def _execute_async(self, operation: Any, parameters: Any) -> None:
        await self._run(operation, () if parameters is None else parameters, many=False)

    async def _executemany_async(self, operation: Any, seq_of_parameters: Any) -> None:
        await self._run(operation, seq_of_parameters, many=True)

    async def _run(self, sql: str, parameters: Any, *, many: bool) -> None:
        connection: Any = self._adapt_connection
        self._cursor = await connection.run_statement(sql, parameters, many)
        self._rows = deque(self._cursor.rows)


class WholeStatementConnection(AsyncAdapt_aiosqlite_connection):
    """A connection whose cursors are `WholeStatementCursor`s, and that rolls back only what may be open."""

    __slots__ = ("_is_clean",)

    _cursor_cls: Any = WholeStatementCursor

    def __init__(self, dbapi: Any, connection: Any) -> None:
        super().__init__(dbapi, connection)
        self._is_clean = False

    async def run_statement(self, sql: str, parameters: Any, many: bool) -> RunStatement:
        """Runs a statement in the connection's thread, after those before it."""
        self._is_clean = False
        async with self._execute_mutex:
            driver: Any = self._connection
            ran: RunStatement = await driver._execute(partial(run_statement, driver._conn, sql, parameters, many))
            return ran

    def commit(self) -> None:
        """Commits."""
        super().commit()
        self._is_clean = True

    def rollback(self) -> None:
        """Rolls back, unless nothing has run since the last commit, as when the pool takes the connection back.

        Whether a transaction is open is not asked of the driver: one that was cancelled may still be about to begin.
        """
        if not self._is_clean:
            super().rollback()
            self._is_clean = True


def connect_whole_statements(dialect: Any, _record: object, arguments: Any, options: Any) -> WholeStatementConnection:
    """Handler of the engine's event `do_connect`: connects as the dialect does."""
    adapted = dialect.connect(*arguments, **options)
    return WholeStatementConnection(adapted.dbapi, adapted._connection)


def set_up_sqlite(engine: Engine, lock_timeout_ms: int) -> None:
    """Let the engine connect by `WholeStatementConnection`s, with the settings that all our files have."""
    settings = (*_SQLITE_SETTINGS, f"busy_timeout={lock_timeout_ms}")

    def configure(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # database.py begins transactions itself
        connection.create_function("from_hex", 1, _from_hex, deterministic=True)
        cursor = connection.cursor()
        for setting in settings:
            cursor.execute(f"PRAGMA {setting}")
        cursor.close()

    event.listen(engine, "do_connect", connect_whole_statements)
    event.listen(engine, "connect", configure)
    event.listen(engine, "begin", _begin_sqlite)


def _from_hex(digits: str | None) -> bytes | None:
    return None if digits is None else bytes.fromhex(digits)


def _begin_sqlite(connection: Connection) -> None:
    connection.exec_driver_sql(connection.get_execution_options().get("begin", "BEGIN"))
