"""What providers say about messages after they have taken them."""

from alembic import op

from services.orchestrator.delivery.receipts.tables import RECEIPT_INDEXES, RECEIPT_TABLES

revision = "0023"
down_revision = "0022"


def upgrade() -> None:
    for name, columns in RECEIPT_TABLES.items():
        op.create_table(name, *columns())
    for statement in RECEIPT_INDEXES:
        op.execute(statement)
