"""Tables of exports: the jobs, and their pages, of which the files are made when somebody asks for them."""

from collections.abc import Callable
from typing import Any

from sqlalchemy import BigInteger, Column, Integer, LargeBinary

from services.kit.db.bytewise_text import Text


def _subject_export() -> list[Column[Any]]:
    """`seen`: the last sign of life of the process that works at it, in the database's time."""
    return [
        Column("id", Text, primary_key=True),
        Column("customer", Text, nullable=False),
        Column("state", Text, nullable=False),
        Column("requested_by", Text, nullable=False),
        Column("created", BigInteger, nullable=False),
        Column("finished", BigInteger),
        Column("seen", BigInteger, nullable=False),
        Column("owner", Text),
        Column("error", Text),
    ]


def _subject_export_part() -> list[Column[Any]]:
    """One page: a JSON array of rows of one section of one service."""
    return [
        Column("export", Text, primary_key=True),
        Column("number", Integer, primary_key=True, autoincrement=False),
        Column("customer", Text, nullable=False),
        Column("service", Text, nullable=False),
        Column("section", Text, nullable=False),
        Column("title", Text, nullable=False),
        Column("rows", Integer, nullable=False),
        Column("at", BigInteger, nullable=False),
        Column("body", LargeBinary, nullable=False),
    ]


TABLES: dict[str, Callable[[], list[Column[Any]]]] = {
    "subject_export": _subject_export,
    "subject_export_part": _subject_export_part,
}
INDEXES: dict[str, tuple[str, tuple[str, ...]]] = {
    "subject_export_customer": ("subject_export", ("customer", "created")),
    "subject_export_part_customer": ("subject_export_part", ("customer",)),
}
