"""Seals the values of columns anew under the first key, a page of rows in each transaction.

A run begins at the first row and leaves alone what is under the first key. So a run that was cut off, or is repeated,
goes on with what remains. Services may work meanwhile: the rows of a page are locked.
"""

import importlib.util
from collections import Counter
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any, Final, NamedTuple, cast

from services.kit.db.column_cipher import key_of
from services.kit.db.database import Database

PAGE_ROWS: Final = 200


class SealedColumn(NamedTuple):
    """A column whose values are sealed, each bound to the row's `owner`. `key`: the column that names a row; `first`: a
    value before every key.
    """

    table: str
    column: str
    owner: str
    key: str
    first: str | int

    @property
    def name(self) -> str:
        """The name under which its values are sealed."""
        return f"{self.table}.{self.column}"


class RotationReport(NamedTuple):
    """What a run did. `remaining`: values that are under no key (`PLAIN`) or under another than the first, by its id,
    counted after the rewriting.
    """

    rewritten: int
    remaining: Mapping[str, int]


def declared_columns(package: str) -> Sequence[SealedColumn]:
    """What the module `sealed_columns` of a service, such as `services.preference`, declares; nothing without one."""
    module = f"{package}.sealed_columns"
    if importlib.util.find_spec(module) is None:
        return ()
    return cast("Sequence[SealedColumn]", import_module(module).SEALED_COLUMNS)


async def rotate_columns(database: Database, columns: Sequence[SealedColumn]) -> RotationReport:
    """Seals all values of these columns under the first key of `database.columns`, and counts what then remains.

    Raises SealedValueUnreadable at a value that no key opens; what was rewritten before it stays so.
    """
    rewritten, remaining = 0, Counter[str]()
    for column in columns:
        rewritten += await _rewrite(database, column)
    for column in columns:
        remaining += await _count_remaining(database, column)
    return RotationReport(rewritten, dict(remaining))


async def _rewrite(database: Database, column: SealedColumn) -> int:
    after, count = column.first, 0
    while True:
        async with database.write() as tx:
            rows = await tx.tuples(f"{_page_query(column)} {tx.for_update}", after=after, most=PAGE_ROWS)
            changes = [
                {"key": key, "value": tx.columns.seal(column.name, owner, tx.columns.open(column.name, owner, stored))}
                for key, owner, stored in rows
                if key_of(stored) != tx.columns.first
            ]
            if changes:
                await tx.execute_many(
                    f"UPDATE {column.table} SET {column.column} = :value WHERE {column.key} = :key", changes
                )
        if not rows:
            return count
        after, count = rows[-1][0], count + len(changes)


async def _count_remaining(database: Database, column: SealedColumn) -> Counter[str]:
    after, found = column.first, Counter[str]()
    while True:
        async with database.read() as tx:
            rows: Sequence[tuple[Any, ...]] = await tx.tuples(_page_query(column), after=after, most=PAGE_ROWS)
        if not rows:
            return found
        found.update(key_id for key_id in (key_of(stored) for *_, stored in rows) if key_id != database.columns.first)
        after = rows[-1][0]


def _page_query(column: SealedColumn) -> str:
    return (
        f"SELECT {column.key}, {column.owner}, {column.column} FROM {column.table} "
        f"WHERE {column.key} > :after ORDER BY {column.key} LIMIT :most"
    )
