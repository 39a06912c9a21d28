"""Attempts are found by message and number; those that are open lie in a small index of their own."""

from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.execute("DROP INDEX IF EXISTS attempt_message")
    op.execute("DROP INDEX IF EXISTS attempt_state")
    op.create_index("attempt_message", "attempt", ["message_id", "number"])
    op.execute("CREATE INDEX attempt_open ON attempt (customer, attempt_id) WHERE state = 'open'")
