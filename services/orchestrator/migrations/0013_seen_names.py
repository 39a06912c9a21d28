"""The names that events and traits have had lately."""

from alembic import op

from services.orchestrator.seen_names import tables

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    for name, columns in tables.TABLES.items():
        op.create_table(name, *columns())
