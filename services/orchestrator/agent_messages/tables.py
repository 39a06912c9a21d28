"""Table of the messages that agents have sent: numbers, without customers."""

from collections.abc import Callable
from typing import Any

from sqlalchemy import BigInteger, Column, Integer

from services.kit.db.bytewise_text import Text


def _agent_budget() -> list[Column[Any]]:
    """How many messages an agent has sent on a day. `day`: days since 1970 in the organisation's zone."""
    return [
        Column("agent", Text, primary_key=True),
        Column("day", BigInteger, primary_key=True, autoincrement=False),
        Column("used", Integer, nullable=False),
    ]


TABLES: dict[str, Callable[[], list[Column[Any]]]] = {"agent_budget": _agent_budget}
