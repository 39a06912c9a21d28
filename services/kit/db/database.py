"""The database of a service, SQLite or PostgreSQL, and the transactions around every change.

SQLite: one file, WAL, synchronous=FULL, one writer at a time; writers of this process queue in order of arrival.
PostgreSQL: READ COMMITTED for writing, one REPEATABLE READ snapshot for reading.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
import time
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, TypeAlias, TypeVar, cast

import asyncpg
from sqlalchemy import URL, Connection, CursorResult, Row, TextClause, event, make_url, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncTransaction, create_async_engine
from sqlalchemy.pool import QueuePool

from services.kit.db.column_cipher import NO_CIPHER, ColumnCipher
from services.kit.db.driver_errors import translate_db_errors
from services.kit.db.idle_ping import ping_idle_connections
from services.kit.db.notifications import Notifications
from services.kit.db.server_tls import explain_tls_error, split_tls
from services.kit.db.sqlite_connection import set_up_sqlite
from services.kit.errors import DatabaseGone, Transient
from services.kit.observability.dependency import Dependency
from services.kit.runtime.clock import Instant
from services.kit.runtime.loop_share import LoopShare

Dialect: TypeAlias = Literal["sqlite", "postgresql"]
T = TypeVar("T")
NO_TOPICS: Mapping[str, str] = MappingProxyType({})

POOL_TIMEOUT = 10.0
"""Seconds to wait for a free connection."""
CONNECT_TIMEOUT = 5.0
CHECK_TIMEOUT = 1.5
"""Seconds that the query for readiness may take."""
ROLLBACK_TIMEOUT = 2.0
"""Seconds to wait for a rollback; after that the connection is dropped, which rolls back as well."""
CANCELLED_ROLLBACK_TIMEOUT = 0.4
"""The same for a transaction that was cancelled: whoever did that waits no longer."""
COMMAND_TIMEOUT = 30.0
"""Seconds that one statement may take."""
LOCK_TIMEOUT_MS = 10_000
"""Milliseconds to wait for a lock."""

_PG_SETTINGS = {
    "application_name": "tactful",
    "plan_cache_mode": "force_generic_plan",
    "jit": "off",
    "enable_seqscan": "off",
    "lock_timeout": str(LOCK_TIMEOUT_MS),
    "idle_in_transaction_session_timeout": "15000",
}
"""Session settings of PostgreSQL.

Query plans are kept per connection. A plan made while a table was small must not keep reading the whole table once it
has grown, so sequential scans are disabled where an index serves, and every hot statement names its keys by
`Tx.in_list`.
"""
_SQLALCHEMY_OPTIONS = ("prepared_statement_cache_size", "prepared_statement_name_func", "async_creator_fn")
"""Options of a URL that SQLAlchemy takes for itself, and asyncpg does not know."""
_SQLITE_DECODERS = {"bytea": "from_hex(value)"}


@lru_cache(maxsize=2048)
def _parse_statement(sql: str) -> TextClause:
    return text(sql)


class Tx:
    """An open transaction. SQL is text with `:name` parameters; errors that may pass are raised as Transient."""

    def __init__(
        self, connection: AsyncConnection, dialect: Dialect, columns: ColumnCipher, out_topics: Mapping[str, str]
    ) -> None:
        self._connection = connection
        self._begun = dialect == "sqlite"
        self.dialect: Dialect = dialect
        self.out_topics = out_topics
        """See `Database.out_topics`."""
        self.columns = columns
        """See `Database.columns`."""
        self.notified: set[str] = set()
        """The channels that are notified once the transaction has committed."""
        self.loop_share = LoopShare()
        """What making and encoding rows takes of the event loop."""
        self.for_update = "FOR UPDATE" if dialect == "postgresql" else ""

    async def _execute(self, sql: str, params: Any) -> CursorResult[Any]:
        with translate_db_errors():
            result = await self._connection.execute(_parse_statement(sql), params)
        self._begun = True
        return result

    async def rows(self, sql: str, **params: Any) -> Sequence[Row[Any]]:
        """Returns all rows; columns are attributes."""
        return (await self._execute(sql, params)).all()

    async def tuples(self, sql: str, **params: Any) -> Sequence[tuple[Any, ...]]:
        """Returns all rows as tuples. Unpacking them costs a fraction of reading columns by name, for large results."""
        return cast("Sequence[tuple[Any, ...]]", (await self._execute(sql, params)).all())

    async def row(self, sql: str, **params: Any) -> Row[Any] | None:
        """Returns the first row, or None."""
        return (await self._execute(sql, params)).first()

    async def execute(self, sql: str, **params: Any) -> int:
        """Executes a statement; returns the number of rows affected."""
        return (await self._execute(sql, params)).rowcount

    async def execute_many(self, sql: str, params: Sequence[Mapping[str, Any]]) -> int:
        """Executes a statement once per parameter set; returns the number of rows affected, or -1 if the driver does
        not tell.
        """
        if not params:
            return 0
        return (await self._execute(sql, list(params))).rowcount

    async def update_rows(
        self, table: str, changes: str, match: str, kinds: Mapping[str, str], rows: Sequence[tuple[Any, ...]]
    ) -> int:
        """Updates rows of a table, each with values of its own; returns the number of rows affected.

        `changes` and `match` are SQL for SET and WHERE, with `{column}` for a value of `rows`, whose columns are of
        these kinds. PostgreSQL takes all in one statement. SQLite runs a prepared one for each: to decode a list of
        JSON costs it more.
        """
        if not rows:
            return 0
        if self.dialect == "postgresql":
            columns = {name: f"r.{name}" for name in kinds}
            return await self.execute(
                f"UPDATE {table} SET {changes.format(**columns)} "
                f"FROM {self.table_parameter('r', kinds)} WHERE {match.format(**columns)}",
                **self.bind_table_parameter("r", kinds, rows),
            )
        columns = {name: f"?{place}" for place, name in enumerate(kinds, 1)}
        with translate_db_errors():
            result = await self._connection.exec_driver_sql(
                f"UPDATE {table} SET {changes.format(**columns)} WHERE {match.format(**columns)}", list(rows)
            )
        return result.rowcount

    async def lookup_column(
        self, table: str, key: Sequence[str], keys: Iterable[tuple[str, ...]], column: str
    ) -> dict[tuple[str, ...], Any]:
        """Returns one column of the rows with these keys (texts, a unique index); a key without a row is absent."""
        kinds = dict.fromkeys(key, "text")
        same = " AND ".join(f"t.{name} = k.{name}" for name in key)
        each = f"SELECT {', '.join(f'k.{name}' for name in key)}, (SELECT t.{column} FROM {table} t WHERE {same}) AS f"
        rows = await self.tuples(
            f"SELECT * FROM ({each} FROM {self.table_parameter('k', kinds)}) AS found WHERE f IS NOT NULL",
            **self.bind_table_parameter("k", kinds, list(dict.fromkeys(keys))),
        )
        return {tuple(row[:-1]): row[-1] for row in rows}

    async def bulk_insert(self, table: str, columns: Sequence[str], rows: Iterable[tuple[Any, ...]]) -> None:
        """Inserts many rows fast (COPY on PostgreSQL). Raises IntegrityError if a constraint is violated.

        Rows that an iterator makes are made in pieces, so that many of them do not hold the event loop.
        """
        rows = rows if isinstance(rows, list) else await self.loop_share.collect(rows)
        if not rows:
            return
        if self.dialect == "postgresql":
            await self._copy(table, columns, rows)
            return
        names = ", ".join(f'"{column}"' for column in columns)
        sql = f'INSERT INTO "{table}" ({names}) VALUES ({", ".join("?" * len(columns))})'
        with translate_db_errors():
            await self._connection.exec_driver_sql(sql, list(rows))

    async def _copy(self, table: str, columns: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> None:
        if not self._begun:  # the dialect opens its transaction with its first statement; COPY goes past it
            await self.execute("SELECT 1")
        with translate_db_errors():
            driver = (await self._connection.get_raw_connection()).driver_connection
            assert isinstance(driver, asyncpg.Connection)
            try:
                await driver.copy_records_to_table(table, records=rows, columns=list(columns))
            except asyncpg.IntegrityConstraintViolationError as error:
                raise IntegrityError(None, None, error) from error

    async def notify(self, channel: str) -> None:
        """Wakes those who listen to the channel, in every process, once this transaction has committed: see
        notifications.py.
        """
        if channel not in self.notified:
            self.notified.add(channel)
            if self.dialect == "postgresql":
                await self.execute("SELECT pg_notify(:channel, '')", channel=channel)

    @contextlib.asynccontextmanager
    async def savepoint(self) -> AsyncIterator[Callable[[], Awaitable[None]]]:
        """A part of the transaction that can be taken back alone, with the locks that it took: call what it yields."""
        async with self._connection.begin_nested() as part:
            yield part.rollback

    async def now(self) -> Instant:
        """Returns the database's clock, in microseconds since 1970 UTC; it advances during the transaction."""
        if self.dialect == "sqlite":
            return time.time_ns() // 1000
        row = await self.row("SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS bigint) AS now")
        assert row is not None
        return int(row.now)

    def list_parameter(self, values: Sequence[Any]) -> object:
        """Returns the value to bind for a list parameter read by `in_list`, `unnest` or `table_parameter`."""
        if self.dialect == "postgresql":
            return list(values)
        return json.dumps([value.hex() if isinstance(value, bytes) else value for value in values])

    def in_list(self, column: str, name: str, kind: str = "text") -> str:
        """Returns SQL for WHERE: the column's value is in the list parameter `name`. Kinds as in `unnest`."""
        if self.dialect == "postgresql":
            return f"{column} = ANY(CAST(:{name} AS {kind}[]))"
        return f"{column} IN ({self.unnest(name, kind)})"

    def unnest(self, name: str, kind: str = "text") -> str:
        """Returns SQL for the elements of the list parameter `name` as rows. Kinds: text, bigint, bytea."""
        if self.dialect == "postgresql":
            return f"SELECT unnest(CAST(:{name} AS {kind}[]))"
        return f"SELECT {_SQLITE_DECODERS.get(kind, 'value')} FROM json_each(:{name})"

    def table_parameter(self, alias: str, kinds: Mapping[str, str]) -> str:
        """Returns SQL for FROM: the rows bound by `bind_table_parameter(alias, ...)`, with these columns of these
        kinds.
        """
        if self.dialect == "postgresql":
            arrays = ", ".join(f"CAST(:{alias}_{column} AS {kind}[])" for column, kind in kinds.items())
            return f"unnest({arrays}) AS {alias}({', '.join(kinds)})"
        fields = ", ".join(
            _SQLITE_DECODERS.get(kind, "value").replace("value", f"json_extract(value, '$[{index}]')") + f" AS {column}"
            for index, (column, kind) in enumerate(kinds.items())
        )
        return f"(SELECT {fields} FROM json_each(:{alias})) AS {alias}"

    def bind_table_parameter(
        self, alias: str, kinds: Mapping[str, str], rows: Sequence[Sequence[Any]]
    ) -> dict[str, object]:
        """Returns the parameters for `table_parameter(alias, kinds)`: `await tx.execute(sql,
        **tx.bind_table_parameter(...))`.
        """
        if self.dialect == "postgresql":
            return {f"{alias}_{column}": [row[index] for row in rows] for index, column in enumerate(kinds)}
        return {alias: json.dumps([[v.hex() if isinstance(v, bytes) else v for v in row] for row in rows])}


class Database:
    """A service's database. Open once, close at the end.

    `dependency`: whether its server answers; `probe` asks it (see `watch_dependency`). Once the server is known not to
    answer, its connections are dropped, so that nobody waits for their answers, and transactions raise at once.
    """

    def __init__(self, engine: AsyncEngine, dialect: Dialect, tls: Mapping[str, Any] | None = None) -> None:
        self._engine = engine
        self._tls = dict(tls or {})
        self._write_lock = asyncio.Lock()
        self._probe_connection: asyncpg.Connection[Any] | None = None
        self._driver_connections: weakref.WeakSet[asyncpg.Connection[Any]] = weakref.WeakSet()
        self.dialect: Dialect = dialect
        self.dependency = Dependency("database", server_name(engine.url))
        self.dependency.on_change.append(self._drop_connections_if_lost)
        self.notifications = Notifications()
        self.out_topics: Mapping[str, str] = NO_TOPICS
        """The topics for which writers leave what they change (`services/kit/bus/outgoing.py`), with the names that the
        settings give them. Without any, they leave nothing.
        """
        self.columns = NO_CIPHER
        """What seals and opens the columns of personal data. Without keys it leaves values plain."""
        self.on_connection_wait: Callable[[float], None] | None = None
        """A callback that is told how many seconds each transaction waited for its connection."""

    @property
    def pool_usage(self) -> tuple[int, int]:
        """The pool's connections: in use, idle."""
        pool = cast(QueuePool, self._engine.pool)
        return pool.checkedout(), pool.checkedin()

    @classmethod
    def open(cls, url: str, *, pool: int = 8, patient: bool = False) -> Database:
        """Opens `sqlite+aiosqlite:///path` or `postgresql+asyncpg://...`. Connects on first use.

        `patient`: statements take as long as they take, as those of an upgrade over millions of rows.

        Raises SettingsError for parameters of TLS that cannot be used.
        """
        parsed = make_url(url)
        common: dict[str, Any] = {"pool_size": pool, "max_overflow": 0, "pool_timeout": POOL_TIMEOUT}
        if parsed.get_backend_name() == "sqlite":
            if not parsed.database or parsed.database == ":memory:":
                raise ValueError("a SQLite database needs a file: sqlite+aiosqlite:///path/to/file.db")
            Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
            engine = create_async_engine(url, hide_parameters=True, **common)
            set_up_sqlite(engine.sync_engine, LOCK_TIMEOUT_MS)
            return cls(engine, "sqlite")
        parsed, tls = split_tls(parsed)
        engine = create_async_engine(
            parsed,
            hide_parameters=True,
            connect_args={
                **tls,
                "timeout": CONNECT_TIMEOUT,
                "command_timeout": None if patient else COMMAND_TIMEOUT,
                "prepared_statement_cache_size": 500,
                "server_settings": _PG_SETTINGS,
            },
            **common,
        )
        ping_idle_connections(engine.sync_engine)
        database = cls(engine, "postgresql", tls)
        event.listen(engine.sync_engine, "do_connect", database._refuse_to_connect_if_lost)
        event.listen(engine.sync_engine, "connect", database._remember_connection)
        event.listen(engine.sync_engine, "invalidate", _drop_connection)
        return database

    def _refuse_to_connect_if_lost(self, *_: object) -> None:
        if self.dependency.is_lost:
            raise ConnectionRefusedError

    def _remember_connection(self, connection: Any, _record: object) -> None:
        self._driver_connections.add(connection.driver_connection)

    def _drop_connections_if_lost(self, answers: bool) -> None:
        if not answers:
            for connection in list(self._driver_connections):
                connection.terminate()

    async def probe(self) -> None:
        """Asks the server for an answer, on a connection of its own, so that a full pool is not taken for a loss. The
        same connection listens for notifications.

        Raises what asyncpg raises when the server does not answer, or does not let us in; DatabaseGone, with what to
        correct, where TLS fails. SQLite: does nothing.
        """
        if self.dialect == "sqlite":
            return
        connection, self._probe_connection = self._probe_connection, None
        try:
            if connection is None:
                arguments = self._engine.dialect.create_connect_args(self._engine.url)[1]
                for name in _SQLALCHEMY_OPTIONS:
                    arguments.pop(name, None)
                connection = await asyncpg.connect(**arguments, **self._tls)
                await self.notifications.listen_on(connection)
            await connection.execute("SELECT 1")
        except asyncpg.TooManyConnectionsError:
            return  # it answers
        except ssl.SSLError as error:
            raise DatabaseGone(explain_tls_error(error, self.dependency.server)) from error
        except BaseException:
            if connection is not None:
                connection.terminate()
            raise
        self._probe_connection = connection

    async def check_readable(self, query: Callable[[Tx], Awaitable[object]]) -> None:
        """Runs a query, for readiness. Raises DatabaseGone, which says where the database is, if it does not answer."""
        if self.dependency.is_lost:
            raise DatabaseGone(self.dependency.describe())
        try:
            async with asyncio.timeout(CHECK_TIMEOUT), self.read() as tx:
                await query(tx)
        except TimeoutError:
            raise DatabaseGone(f"database: no answer within {CHECK_TIMEOUT:g} s from {self.server}") from None
        except Transient as error:
            raise DatabaseGone(f"database: {error.detail} ({self.server})") from None

    @contextlib.asynccontextmanager
    async def answering_within(self, seconds: float) -> AsyncIterator[None]:
        """Bounds what a caller waits for the transactions within. Raises DatabaseGone when the time is over; whether a
        commit in progress took effect is unknown then. SQLite has no server that could be gone: no bound.
        """
        try:
            async with asyncio.timeout(seconds if self.dialect == "postgresql" else None):
                yield
        except TimeoutError:
            raise DatabaseGone(f"the database has not answered within {seconds:g} s", retry_after=5.0) from None

    @property
    def server(self) -> str:
        """Where it is, without credentials: host:port/name, or the path of a file."""
        return self.dependency.server

    @contextlib.asynccontextmanager
    async def _transaction(self, **options: Any) -> AsyncIterator[AsyncConnection]:
        if self.dependency.is_lost:
            raise DatabaseGone("the database does not answer", retry_after=5.0)
        began = time.monotonic()
        with translate_db_errors(connecting=True):
            connection = await self._engine.connect()
        if self.on_connection_wait is not None:
            self.on_connection_wait(time.monotonic() - began)
        try:
            with translate_db_errors():
                await connection.execution_options(**options)
                transaction = await connection.begin()
            try:
                yield connection
            except BaseException as error:
                is_cancelled = isinstance(error, asyncio.CancelledError)
                wait = CANCELLED_ROLLBACK_TIMEOUT if is_cancelled else ROLLBACK_TIMEOUT
                await self._roll_back(connection, transaction, wait)
                raise
            with translate_db_errors():
                await transaction.commit()
        finally:
            with contextlib.suppress(Exception):
                await asyncio.shield(connection.close())

    async def _roll_back(self, connection: AsyncConnection, transaction: AsyncTransaction, wait: float) -> None:
        """Rolls back. Raises nothing, because the first error counts, and does not wait for a server that is gone."""
        try:
            async with asyncio.timeout(wait if self.dialect == "postgresql" else None):
                await transaction.rollback()
        except Exception:
            with contextlib.suppress(Exception):
                driver = (await connection.get_raw_connection()).driver_connection
                if isinstance(driver, asyncpg.Connection):
                    driver.terminate()

    @contextlib.asynccontextmanager
    async def write(self) -> AsyncIterator[Tx]:
        """A write transaction: committed on normal exit, rolled back on error.

        DatabaseGone raised at the exit means that the outcome is unknown: read before you write again.
        """
        async with self._exclusive_write(), self._transaction(begin="BEGIN IMMEDIATE") as connection:
            tx = Tx(connection, self.dialect, self.columns, self.out_topics)
            yield tx
        self.notifications.wake(tx.notified)

    @contextlib.asynccontextmanager
    async def read(self) -> AsyncIterator[Tx]:
        """A read transaction with one consistent snapshot; writing in it is an error on PostgreSQL."""
        options: dict[str, Any] = {}
        if self.dialect == "postgresql":
            options = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
        async with self._transaction(**options) as connection:
            yield Tx(connection, self.dialect, self.columns, NO_TOPICS)

    async def run_sync(self, function: Callable[[Connection], T]) -> T:
        """Runs a synchronous function, such as `metadata.create_all`, in one write transaction."""
        async with self._exclusive_write(), self._transaction(begin="BEGIN IMMEDIATE") as connection:
            return await connection.run_sync(function)

    def _exclusive_write(self) -> contextlib.AbstractAsyncContextManager[Any]:
        return self._write_lock if self.dialect == "sqlite" else contextlib.nullcontext()

    async def truncate_journal(self) -> None:
        """SQLite: moves what the write-ahead log holds into the file and empties it, so that deleted bytes are gone
        from both; as far as readers allow. PostgreSQL: does nothing, its own vacuum and log retention do that.
        """
        if self.dialect == "sqlite":
            async with self._write_lock, self._engine.connect() as connection:
                driver = (await connection.get_raw_connection()).driver_connection
                assert driver is not None
                await driver.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    async def now(self) -> Instant:
        """Returns the database's clock, in microseconds since 1970 UTC."""
        if self.dialect == "sqlite":
            return time.time_ns() // 1000
        async with self.read() as tx:
            return await tx.now()

    async def close(self) -> None:
        """Closes every connection."""
        if self._probe_connection is not None:
            self._probe_connection.terminate()
            self._probe_connection = None
        await self._engine.dispose()


def _drop_connection(connection: Any, _record: object, _error: object) -> None:
    """Drops a connection that is of no use any more. SQLAlchemy would close it politely, which waits two seconds for a
    server that does not answer: too long for a caller whose time is over.
    """
    connection.driver_connection.terminate()


def server_name(url: URL) -> str:
    """Where a database is, without credentials: host:port/name, or the path of a file."""
    if url.get_backend_name() == "sqlite":
        return str(url.database)
    return f"{url.host or 'localhost'}:{url.port or 5432}/{url.database or url.username or ''}"
