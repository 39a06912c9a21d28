"""Imports of customers and of consents."""

from alembic import op

from services.bulk_import.tables import create_import_tables

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    for table in ("customer_import", "consent_import"):
        create_import_tables(op, table)
