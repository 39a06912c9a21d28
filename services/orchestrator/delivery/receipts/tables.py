"""The table of receipts. Each statement of a provider about a message is one row, however often it is repeated."""

from typing import Any, Final

from sqlalchemy import Column, SmallInteger

from services.kit.db.bytewise_text import Text
from services.orchestrator.decisions.tables import Columns, serial_column, text_column, time_column


def _receipt() -> list[Column[Any]]:
    """`suppresses`: the reason of the do-not-contact entry that it leads to, until that entry is made; then null.
    `published`: whether its event is in the log.
    """
    return [
        serial_column("seq"),
        Column("receipt_key", Text, nullable=False, unique=True),
        text_column("message_id"),
        text_column("customer"),
        text_column("adapter"),
        text_column("kind"),
        Column("permanent", SmallInteger, nullable=False),
        Column("by_machine", SmallInteger, nullable=False),
        text_column("detail", null=True),
        time_column("at"),
        time_column("received"),
        text_column("suppresses", null=True),
        Column("published", SmallInteger, nullable=False, server_default="0"),
    ]


RECEIPT_TABLES: dict[str, Columns] = {"receipt": _receipt}
RECEIPT_INDEXES: Final = (
    "CREATE INDEX receipt_message ON receipt (message_id, seq)",
    "CREATE INDEX receipt_customer ON receipt (customer)",
    "CREATE INDEX receipt_unpublished ON receipt (seq) WHERE published = 0",
    "CREATE INDEX receipt_owes_entry ON receipt (seq) WHERE suppresses IS NOT NULL",
)
