"""Messages in the sandbox are found by their age, and what is known of a customer can be exported."""

from alembic import op

from services.orchestrator.subject_export.tables import INDEXES, TABLES

revision = "0033"
down_revision = "0032"


def upgrade() -> None:
    op.create_index("sandbox_message_at", "sandbox_message", ["at"])
    for name, columns in TABLES.items():
        op.create_table(name, *columns())
    for name, (table, indexed) in INDEXES.items():
        op.create_index(name, table, list(indexed))
