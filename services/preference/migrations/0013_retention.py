"""Marks of applied events are found by their age."""

from alembic import op

revision = "0013"
down_revision = "0009"


def upgrade() -> None:
    op.create_index("preference_inbox_received", "preference_inbox", ["received"])
