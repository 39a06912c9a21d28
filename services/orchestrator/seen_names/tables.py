"""The table of names that were seen: one row a day for each name, never a value."""

from collections.abc import Callable
from typing import Any

from sqlalchemy import BigInteger, Column, Integer

from services.kit.db.bytewise_text import Text


def _seen_name() -> list[Column[Any]]:
    """`source` is an event type, or `customer.traits`. The row with an empty `path` counts what was looked at."""
    return [
        Column("source", Text, primary_key=True),
        Column("day", Integer, primary_key=True, autoincrement=False),
        Column("path", Text, primary_key=True),
        Column("seen", BigInteger, nullable=False),
    ]


TABLES: dict[str, Callable[[], list[Column[Any]]]] = {"seen_name": _seen_name}
