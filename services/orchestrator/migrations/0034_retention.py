"""Messages in the sandbox are found by their age."""

from alembic import op

revision = "0034"
down_revision = "0030"


def upgrade() -> None:
    op.create_index("sandbox_message_at", "sandbox_message", ["at"])
