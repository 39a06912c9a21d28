"""The tables of inboxes: messages, and for each customer a row with the numbers that were given to them."""

from typing import Any, Final

from sqlalchemy import BigInteger, Column

from services.kit.db.bytewise_text import Text
from services.orchestrator.decisions.tables import Columns, text_column, time_column


def _app_message() -> list[Column[Any]]:
    """`position`: counts the customer's messages up; `version`: the number of the last change to this row."""
    return [
        Column("message_id", Text, primary_key=True),
        text_column("customer"),
        Column("position", BigInteger, nullable=False),
        Column("version", BigInteger, nullable=False),
        text_column("content"),
        text_column("locale", null=True),
        text_column("topic", null=True),
        time_column("at"),
        *(time_column(f"{mark}_at", null=True) for mark in ("seen", "read", "clicked", "archived")),
    ]


def _app_message_head() -> list[Column[Any]]:
    """Written in every transaction that changes a message of the customer, so its lock puts the changes in order: who
    has read up to a version misses nothing below it.
    """
    return [
        Column("customer", Text, primary_key=True),
        Column("position", BigInteger, nullable=False),
        Column("version", BigInteger, nullable=False),
    ]


APP_INBOX_TABLES: dict[str, Columns] = {"app_message": _app_message, "app_message_head": _app_message_head}
APP_INBOX_INDEXES: Final = (
    "CREATE UNIQUE INDEX app_message_customer ON app_message (customer, position)",
    "CREATE INDEX app_message_at ON app_message (at)",
)
