"""Marks of applied events are found by their age."""

from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    op.create_index("preference_inbox_received", "preference_inbox", ["received"])
