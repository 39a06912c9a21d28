"""What has changed lately: lets a reader learn at constant cost whether what it has read still holds.

Triggers note every change of the watched tables in the transaction that makes it. So no writer can forget to, not even
an older version of the program that still runs beside this one. A reader remembers a `ChangePosition` of the snapshot
that it read, and asks later what has changed since.

PostgreSQL: transactions of several writers end in another order than they begin in, so a plain sequence would lose
those that are late. The position is therefore a transaction id before which every transaction had ended, in the
reader's snapshot; a change carries the id of its own. What the snapshot has not seen had not ended then, so its id is
not smaller than the position; and it is noted as soon as it is seen, because one transaction wrote both. Some changes
are told that the reader had seen already, which costs a question.

SQLite has one writer at a time and only embedded use: each change moves `change_horizon`, and nothing else is kept.

Whoever asks from before the horizon, or of another server than the position is from, is told that anything may have
changed: after a restore, a failover or a restart, transaction ids may be those of other transactions. A crash alone
keeps the server's start time, and may give ids again that had not reached the durable log. So a position is also never
larger than it takes to be past all changes that the snapshot has seen, for these are durable.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from typing import Any, TypeAlias

from alembic.operations import Operations
from sqlalchemy import BigInteger, Column, Integer, LargeBinary

from services.kit.db.database import Database, Tx
from services.kit.observability.logs import log

ChangePosition: TypeAlias = tuple[int, int]
"""A server (by its start), and a position in its sequence of changes."""

KEY_BYTES = 8
"""Bytes by which a changed row is named: the first of a SHA-256. Two of the same name cost a question, no more."""
MAX_KEYS = 1_000
"""Rows that one statement may change and name; a larger one says that anything may have changed."""
MAX_CHANGES = 200
"""Statements that an answer may name the rows of."""
KEPT_SECONDS = 120
"""How long changes are kept: whoever asks does so within the deadline of a handover."""
FORGET_SECONDS = 30.0
"""Seconds between two removals of older changes."""

_THIS_PROCESS = secrets.randbits(53)
"""Stands for the server on SQLite, whose file one process uses."""
_EVENTS = {"insert": "NEW", "update": "NEW", "delete": "OLD"}
_SERVER = "CAST(extract(epoch FROM pg_postmaster_start_time()) * 1000000 AS bigint)"
_XMIN = "CAST(CAST(pg_snapshot_xmin(pg_current_snapshot()) AS text) AS bigint)"
_XMAX = "CAST(CAST(pg_snapshot_xmax(pg_current_snapshot()) AS text) AS bigint)"
_NOW = "CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS bigint)"

_POSITION = f"""
    SELECT {_SERVER} AS server, least({_XMIN}, greatest(
        position, (SELECT max(c.position) FROM recent_change c WHERE c.position < {_XMIN}) + 1
    )) AS position
    FROM change_horizon
"""
_CHANGES = f"""
    SELECT {_SERVER} AS server, position AS horizon, ARRAY(
        SELECT keys FROM recent_change c WHERE c.position >= :since LIMIT {MAX_CHANGES + 1}
    ) AS changes
    FROM change_horizon
"""
_FORGET = f"""
    WITH gone AS (DELETE FROM recent_change WHERE at < {_NOW} - {KEPT_SECONDS} * 1000000 RETURNING position)
    UPDATE change_horizon
    SET position = least(greatest(position, (SELECT max(gone.position) FROM gone) + 1), {_XMAX})
    WHERE EXISTS (SELECT 1 FROM gone) OR position > {_XMAX}
"""
_TRIGGERS = {
    "postgresql": "SELECT tgname AS name FROM pg_trigger WHERE tgenabled IN ('O', 'A') AND NOT tgisinternal",
    "sqlite": "SELECT name FROM sqlite_master WHERE type = 'trigger'",
}


def change_key(text: str) -> bytes:
    """The name of a changed row whose key is this text, as the triggers make it."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:KEY_BYTES]


class RecentChanges:
    """The recent changes of a database. `watched`: the tables of `create_recent_changes`.

    As long as `check_triggers` has not found all of them in force, nobody gets a position: anything may have changed.
    """

    def __init__(self, database: Database, watched: Mapping[str, str]) -> None:
        self._database = database
        self._watched = watched
        self._all_noted = False

    async def check_triggers(self) -> None:
        """Look whether all triggers are there: a table that was made anew, or by hand, may have lost its own."""
        async with self._database.read() as tx:
            found = {row.name for row in await tx.rows(_TRIGGERS[self._database.dialect])}
        missing = sorted(_trigger_names(self._watched) - found)
        self._all_noted = not missing
        if missing:
            log("changes_not_noted", level="warning", missing_triggers=missing)

    async def get_position(self, tx: Tx) -> ChangePosition | None:
        """The position of the snapshot that `tx` reads."""
        if not self._all_noted:
            return None
        if tx.dialect == "sqlite":
            row = await tx.row("SELECT position FROM change_horizon")
            return None if row is None else (_THIS_PROCESS, row.position)
        row = await tx.row(_POSITION)
        return None if row is None else (row.server, row.position)

    async def get_changes(self, tx: Tx, since: ChangePosition) -> bytes | None:
        """The `change_key` of every row that has changed since a position, put together; None: anything may have."""
        if not self._all_noted:
            return None
        server, position = since
        if tx.dialect == "sqlite":
            row = await tx.row("SELECT position FROM change_horizon")
            is_same = row is not None and (server, position) == (_THIS_PROCESS, row.position)
            return b"" if is_same else None
        row = await tx.row(_CHANGES, since=position)
        if row is None or row.server != server or position < row.horizon or len(row.changes) > MAX_CHANGES:
            return None
        return None if None in row.changes else b"".join(row.changes)

    async def forget_old(self) -> None:
        """Remove what nobody asks for any more."""
        if self._database.dialect == "postgresql":
            async with self._database.write() as tx:
                # Locked first, so that the horizon is moved on a snapshot that is newer than who moved it before.
                await tx.execute("SELECT 1 FROM change_horizon FOR UPDATE")
                await tx.execute(_FORGET)


def create_recent_changes(op: Operations | Any, watched: Mapping[str, str]) -> None:
    """Create tables and triggers in a migration.

    `watched`: tables, each with the SQL of the text that names a row, from its columns. Where that is NULL, anything
    may have changed. It must name all whom a change concerns: an update is named by the row as it is then.
    """
    dialect = op.get_bind().dialect.name
    op.create_table(
        "change_horizon",
        Column("one", Integer, primary_key=True, autoincrement=False),
        Column("position", BigInteger, nullable=False),
    )
    op.execute("INSERT INTO change_horizon (one, position) VALUES (1, 0)")
    if dialect == "postgresql":
        op.create_table(
            "recent_change",
            Column("position", BigInteger, nullable=False),
            Column("keys", LargeBinary),
            Column("at", BigInteger, nullable=False),
        )
        op.create_index("recent_change_position", "recent_change", ["position"])
    for table, key in watched.items():
        for event, rows in _EVENTS.items():
            for statement in _trigger(dialect, table, key, event, rows):
                op.execute(statement)


def _trigger_names(watched: Mapping[str, str]) -> set[str]:
    return {_trigger_name(table, event) for table in watched for event in _EVENTS}


def _trigger_name(table: str, event: str) -> str:
    return f"note_{event}_of_{table}"


def _trigger(dialect: str, table: str, key: str, event: str, rows: str) -> list[str]:
    """The statements that make one trigger; `rows`: NEW or OLD."""
    name = _trigger_name(table, event)
    if dialect == "sqlite":
        return [
            f"CREATE TRIGGER {name} AFTER {event} ON {table} "
            "BEGIN UPDATE change_horizon SET position = position + 1; END"
        ]
    body = f"""
        BEGIN
            INSERT INTO recent_change (position, keys, at)
            SELECT
                CAST(CAST(pg_current_xact_id() AS text) AS bigint),
                CASE WHEN count(*) = count(changed.key) AND count(*) <= {MAX_KEYS} THEN
                    string_agg(substring(sha256(convert_to(changed.key, 'UTF8')) FOR {KEY_BYTES}), '')
                END,
                {_NOW}
            FROM (SELECT {key} AS key FROM changed_rows) AS changed
            HAVING count(*) > 0;
            RETURN NULL;
        END
    """
    return [
        f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ {body} $$",
        f"CREATE TRIGGER {name} AFTER {event} ON {table} REFERENCING {rows} TABLE AS changed_rows "
        f"FOR EACH STATEMENT EXECUTE FUNCTION {name}()",
    ]
