"""The table of the sandbox: messages that it has stored instead of sending them."""

from typing import Any

from sqlalchemy import Column, LargeBinary

from services.kit.db.bytewise_text import Text
from services.orchestrator.decisions.tables import Columns, text_column, time_column


def _sandbox_message() -> list[Column[Any]]:
    return [
        Column("message_id", Text, primary_key=True),
        text_column("customer"),
        text_column("campaign"),
        text_column("channel"),
        text_column("to_address"),
        Column("content", LargeBinary, nullable=False),
        time_column("at"),
    ]


TABLES: dict[str, Columns] = {"sandbox_message": _sandbox_message}
INDEXES: dict[str, tuple[str, tuple[str, ...]]] = {
    "sandbox_message_customer": ("sandbox_message", ("customer", "at")),
}
