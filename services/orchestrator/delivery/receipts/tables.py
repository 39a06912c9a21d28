"""The tables of receipts. Each statement of a provider about a message is one row, however often it is repeated.

A reply that may be a STOP is kept beside its receipt, in `undecided_reply`, until a person has said what it is; who
decided what stays.
"""

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


def _undecided_reply() -> list[Column[Any]]:
    """`text`, `address`: null once nothing is left to decide or to do. `held_from`: the instant from which its
    do-not-contact entry counts, by which that entry is known. `owes`: what the do-not-contact list has to be told yet,
    `hold`, `stop` or `lift`; null if nothing.
    """
    return [
        serial_column("seq"),
        Column("receipt_key", Text, nullable=False, unique=True),
        text_column("message_id"),
        text_column("customer"),
        text_column("adapter"),
        text_column("channel"),
        text_column("address", null=True),
        text_column("text", null=True),
        time_column("at"),
        time_column("received"),
        time_column("held_from"),
        text_column("state"),
        text_column("decided_by", null=True),
        time_column("decided_at", null=True),
        text_column("owes", null=True),
    ]


RECEIPT_TABLES: dict[str, Columns] = {"receipt": _receipt}
OUTCOME_TABLES: dict[str, Columns] = {"undecided_reply": _undecided_reply}
"""Tables of step 0029."""
OUTCOME_INDEXES: Final = (
    "CREATE INDEX receipt_soft_bounce ON receipt (customer, at) WHERE kind = 'bounced' AND permanent = 0",
    "CREATE INDEX undecided_reply_open ON undecided_reply (seq) WHERE state = 'undecided'",
    "CREATE INDEX undecided_reply_owes ON undecided_reply (seq) WHERE owes IS NOT NULL",
    "CREATE INDEX undecided_reply_customer ON undecided_reply (customer)",
    "CREATE INDEX undecided_reply_address ON undecided_reply (channel, address) WHERE state = 'undecided'",
)
RECEIPT_INDEXES: Final = (
    "CREATE INDEX receipt_message ON receipt (message_id, seq)",
    "CREATE INDEX receipt_customer ON receipt (customer)",
    "CREATE INDEX receipt_unpublished ON receipt (seq) WHERE published = 0",
    "CREATE INDEX receipt_owes_entry ON receipt (seq) WHERE suppresses IS NOT NULL",
)
