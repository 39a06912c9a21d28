"""The table of removal requests: who asked for the removal of an entry and why, and who decided."""

from typing import Any

from alembic.operations import Operations
from sqlalchemy import BigInteger, Column, text

from services.kit.db.bytewise_text import Text


def _removal_request() -> list[Column[Any]]:
    """`consent_of`: the customer whose new consent allows the removal of what the customer had forbidden."""
    return [
        *(Column("id", Text, primary_key=True), Column("entry_id", Text, nullable=False)),
        Column("state", Text, nullable=False),
        *(Column("reason", Text), Column("consent_of", Text)),
        *(Column("requested_by", Text, nullable=False), Column("requested_at", BigInteger, nullable=False)),
        *(Column("decided_by", Text), Column("decided_at", BigInteger), Column("decision_reason", Text)),
    ]


def create_removal_table(op: Operations | Any) -> None:
    """Create the table in a migration. At most one request for each entry is open."""
    op.create_table("removal_request", *_removal_request())
    op.create_index("removal_request_entry", "removal_request", ["entry_id"])
    is_open = text("state = 'requested'")
    op.create_index(
        "removal_request_open",
        "removal_request",
        ["entry_id"],
        unique=True,
        sqlite_where=is_open,
        postgresql_where=is_open,
    )
