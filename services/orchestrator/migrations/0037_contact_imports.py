"""Imports of past contacts."""

from alembic import op

from services.bulk_import.tables import create_import_tables

revision = "0037"
down_revision = "0036"


def upgrade() -> None:
    create_import_tables(op, "contact_import")
