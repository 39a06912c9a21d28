"""`message.maybe_sent` replaces a sentence in `detail` as state, and the time of a claim is called `claimed_at`.

A database that was made by earlier steps is converted in place. A new one has these columns already, because step
0001 creates the tables as they are defined today.
"""

from alembic import op
from sqlalchemy import Column, SmallInteger, inspect, text

revision = "0010"
down_revision = "0009"

_MAYBE_SENT_DETAIL = "an earlier attempt may have arrived"
"""What earlier versions wrote into `detail` while they retried a message after an attempt with an unknown outcome."""


def upgrade() -> None:
    connection = op.get_bind()
    for table in ("message", "attempt"):
        if "marked_at" in {column["name"] for column in inspect(connection).get_columns(table)}:
            op.alter_column(table, "marked_at", new_column_name="claimed_at")
    if "maybe_sent" not in {column["name"] for column in inspect(connection).get_columns("message")}:
        op.add_column("message", Column("maybe_sent", SmallInteger, nullable=False, server_default="0"))
        connection.execute(
            text("UPDATE message SET maybe_sent = 1 WHERE detail = :detail"), {"detail": _MAYBE_SENT_DETAIL}
        )
