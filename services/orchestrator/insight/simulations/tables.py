"""The table of simulations: request, progress, result."""

from collections.abc import Callable
from typing import Any

from sqlalchemy import BigInteger, Column, Integer, LargeBinary

from services.kit.db.bytewise_text import Text


def _simulation() -> list[Column[Any]]:
    """`seen` is the last heartbeat (database time); `progress` is 0 to 1000."""
    return [
        Column("id", Text, primary_key=True),
        Column("state", Text, nullable=False),
        Column("requested_by", Text, nullable=False),
        Column("asked", LargeBinary, nullable=False),
        Column("request", LargeBinary, nullable=False),
        Column("created", BigInteger, nullable=False),
        Column("started", BigInteger),
        Column("finished", BigInteger),
        Column("seen", BigInteger, nullable=False),
        Column("tries", Integer, nullable=False),
        Column("progress", Integer, nullable=False),
        Column("error", Text),
        Column("notes", LargeBinary),
        Column("result", LargeBinary),
        Column("picture", LargeBinary),
    ]


TABLES: dict[str, Callable[[], list[Column[Any]]]] = {"simulation": _simulation}
INDEXES: dict[str, tuple[str, tuple[str, ...]]] = {"simulation_created": ("simulation", ("created", "id"))}
