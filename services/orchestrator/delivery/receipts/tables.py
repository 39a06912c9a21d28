"""The table of receipts. Each statement of a provider about a message is one row, however often it is repeated."""

from typing import Any, Final

from sqlalchemy import Column, SmallInteger

from services.kit.db.bytewise_text import Text
from services.orchestrator.decisions.tables import Columns, serial_column, text_column, time_column


def _receipt() -> list[Column[Any]]:
    """`suppresses`: the reason of the do-not-contact entry that it leads to, or `lift` if it takes such an entry back,
    until that is done; then null. `published`: whether its event is in the log. `text`: of a reply, until then.
    `channel`, `address`: of a reply from an address that no message is known to have gone to, whose message and
    customer are empty; the address until the entry is made.
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
        *reply_columns(),
    ]


def reply_columns() -> list[Column[Any]]:
    """The columns that only replies have."""
    return [text_column("text", null=True), text_column("channel", null=True), text_column("address", null=True)]


RECEIPT_TABLES: dict[str, Columns] = {"receipt": _receipt}
RECEIPT_INDEXES: Final = (
    "CREATE INDEX receipt_message ON receipt (message_id, seq)",
    "CREATE INDEX receipt_customer ON receipt (customer)",
    "CREATE INDEX receipt_unpublished ON receipt (seq) WHERE published = 0",
    "CREATE INDEX receipt_owes_entry ON receipt (seq) WHERE suppresses IS NOT NULL",
)
