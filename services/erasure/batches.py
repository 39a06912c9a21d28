"""SQL that removes or changes a bounded number of rows of any table, for the steps of an erasure."""

from typing import Any, Final

from services.kit.db.database import Tx

MOST_ROWS: Final = 500
"""Rows that one transaction of an erasure removes or changes in a table."""


def bounded(tx: Tx, table: str, where: str) -> str:
    """SQL for WHERE: at most MOST_ROWS of the rows that match."""
    if tx.dialect == "postgresql":
        return f"ctid = ANY(ARRAY(SELECT ctid FROM {table} WHERE {where} LIMIT {MOST_ROWS}))"
    return f"rowid IN (SELECT rowid FROM {table} WHERE {where} LIMIT {MOST_ROWS})"


async def delete_some(tx: Tx, table: str, where: str, **params: Any) -> int:
    """Delete rows that match; how many."""
    return await tx.execute(f"DELETE FROM {table} WHERE {bounded(tx, table, where)}", **params)


async def change_some(tx: Tx, table: str, assignments: str, where: str, **params: Any) -> int:
    """Change rows that match; how many."""
    return await tx.execute(f"UPDATE {table} SET {assignments} WHERE {bounded(tx, table, where)}", **params)
