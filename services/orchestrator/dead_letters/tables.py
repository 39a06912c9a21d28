"""Tables of redrive jobs: who asked for what, and what has become of each letter."""

from collections.abc import Callable
from typing import Any

from sqlalchemy import BigInteger, Column, Integer

from services.kit.db.bytewise_text import Text


def _redrive_job() -> list[Column[Any]]:
    """`seen` is the last sign of life of the process that runs it (database time); `waiting` says what it waits for."""
    return [
        Column("id", Text, primary_key=True),
        Column("state", Text, nullable=False),
        Column("requested_by", Text, nullable=False),
        Column("reason", Text, nullable=False),
        Column("rate", Integer, nullable=False),
        Column("left_out", Integer, nullable=False),
        Column("created", BigInteger, nullable=False),
        Column("started", BigInteger),
        Column("finished", BigInteger),
        Column("seen", BigInteger, nullable=False),
        Column("owner", Text),
        Column("waiting", Text),
    ]


def _redrive_item() -> list[Column[Any]]:
    """`result` is None until it is the letter's turn; then redriven, still_dead, closed_before or not_found."""
    return [
        Column("job", Text, primary_key=True),
        Column("seq", Integer, primary_key=True, autoincrement=False),
        Column("letter", Text, nullable=False),
        Column("result", Text),
        Column("effect", Text),
        Column("detail", Text),
    ]


TABLES: dict[str, Callable[[], list[Column[Any]]]] = {"redrive_job": _redrive_job, "redrive_item": _redrive_item}
INDEXES: dict[str, tuple[str, tuple[str, ...]]] = {"redrive_job_created": ("redrive_job", ("created", "id"))}
