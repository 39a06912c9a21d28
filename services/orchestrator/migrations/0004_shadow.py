"""Versions in shadow: what they would have decided, counted, with samples."""

from alembic import op

from services.orchestrator.insight.shadow.tables import INDEXES, TABLES

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    for name, columns in TABLES.items():
        op.create_table(name, *columns())
    for name, (table, names) in INDEXES.items():
        op.create_index(name, table, list(names))
