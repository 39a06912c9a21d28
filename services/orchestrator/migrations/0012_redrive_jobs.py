"""Jobs that apply dead letters again."""

from alembic import op

from services.orchestrator.dead_letters import tables

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    for name, columns in tables.TABLES.items():
        op.create_table(name, *columns())
    for name, (table, columns) in tables.INDEXES.items():
        op.create_index(name, table, list(columns))
