"""The inbox of the company's own app."""

from alembic import op

from services.orchestrator.delivery.adapters.app_inbox.tables import APP_INBOX_INDEXES, APP_INBOX_TABLES

revision = "0027"
down_revision = "0026"


def upgrade() -> None:
    for name, columns in APP_INBOX_TABLES.items():
        op.create_table(name, *columns())
    for statement in APP_INBOX_INDEXES:
        op.execute(statement)
