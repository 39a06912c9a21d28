"""Attempts are found by message and number, and those that are open in a small index of messages."""

from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.execute("DROP INDEX IF EXISTS attempt_message")
    op.execute("DROP INDEX IF EXISTS attempt_state")
    op.create_index("attempt_message", "attempt", ["message_id", "number"])
