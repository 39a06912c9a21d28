"""Imports of situations."""

from alembic import op

from services.bulk_import.tables import create_import_tables

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    create_import_tables(op, "situation_import")
