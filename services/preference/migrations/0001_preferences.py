"""States, their history, the inbox, the catalogue of topics."""

from alembic import op

from services.kit.db.tables import create_kit_tables
from services.preference.tables import INDEXES, ROW_OPTIONS, TABLES, UPDATED_TABLES

revision = "0001"
down_revision = None


def upgrade() -> None:
    create_kit_tables(op)
    for name, columns in TABLES.items():
        op.create_table(name, *columns(), **(ROW_OPTIONS if name in UPDATED_TABLES else {}))
    for name, (table, columns) in INDEXES.items():
        op.create_index(name, table, list(columns))
