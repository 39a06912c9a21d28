"""Searches every column of every table for texts that must not be there, in each encoding that the product uses."""

from __future__ import annotations

import base64
import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import closing
from pathlib import Path

from services.erasure.mentions import written_forms
from services.kit.db.database import Database


def forms_of(text: str) -> tuple[bytes, ...]:
    """The text as bytes: plain, escaped, in hexadecimal digits, and in base64 at each of its three alignments."""
    plain = text.encode()
    digits = plain.hex().encode()
    encoded = [base64.b64encode(b"\0" * skipped + plain)[2 * skipped : -4] for skipped in range(3)]
    return tuple(form for form in (*written_forms(text), digits, digits.upper(), *encoded) if len(form) > 4)


async def find_in_database(database: Database, texts: Iterable[str]) -> set[tuple[str, str, str]]:
    """(table, column, text) for everything that is found, in all tables that the database has."""
    return _found(await _read_tables(database), texts)


async def count_in_database(database: Database, texts: Iterable[str]) -> dict[str, int]:
    """By table, how many rows hold any of the texts; tables without such rows are absent."""
    forms = [form for text in texts for form in forms_of(text)]
    found = {
        table: sum(any(form in _as_bytes(value) for value in row.values() for form in forms) for row in rows)
        for table, rows in (await _read_tables(database)).items()
    }
    return {table: count for table, count in found.items() if count}


async def list_tables(database: Database) -> set[str]:
    """The names of all tables that the database has."""
    return set(await _read_tables(database))


async def _read_tables(database: Database) -> dict[str, list[dict[str, object]]]:
    async with database.read() as tx:
        names = (
            "SELECT tablename AS name FROM pg_tables WHERE schemaname = 'public'"
            if tx.dialect == "postgresql"
            else "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
        )
        tables = {row.name: await tx.rows(f'SELECT * FROM "{row.name}"') for row in await tx.rows(names)}
    assert len(tables) > 8, "the tables were found"
    return {table: [dict(row._mapping) for row in found] for table, found in tables.items()}


def find_in_file(path: Path, texts: Iterable[str]) -> set[tuple[str, str, str]]:
    """As `find_in_database`, for a SQLite file of any kind."""
    with closing(sqlite3.connect(path)) as file:
        file.row_factory = sqlite3.Row
        names = [row["name"] for row in file.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        rows = {name: [dict(row) for row in file.execute(f'SELECT * FROM "{name}"')] for name in names}
    return _found(rows, texts)


def find_in_bytes(paths: Iterable[Path], texts: Iterable[str]) -> set[tuple[str, str]]:
    """(file, text) for what stands anywhere in these files, free pages included."""
    return {
        (path.name, text) for path in paths for text in texts if any(f in path.read_bytes() for f in forms_of(text))
    }


def _found(tables: Mapping[str, Iterable[Mapping[str, object]]], texts: Iterable[str]) -> set[tuple[str, str, str]]:
    forms = {text: forms_of(text) for text in texts}
    return {
        (table, column, text)
        for table, rows in tables.items()
        for row in rows
        for column, value in row.items()
        for text, spelt in forms.items()
        if any(form in _as_bytes(value) for form in spelt)
    }


def _as_bytes(value: object) -> bytes:
    return bytes(value) if isinstance(value, bytes | memoryview) else str(value).encode()
