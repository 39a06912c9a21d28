"""Replies that a person has to decide about, and an index of soft bounces."""

from alembic import op

from services.orchestrator.delivery.receipts.tables import OUTCOME_INDEXES, OUTCOME_TABLES

revision = "0029"
down_revision = "0028"


def upgrade() -> None:
    for name, columns in OUTCOME_TABLES.items():
        op.create_table(name, *columns())
    for statement in OUTCOME_INDEXES:
        op.execute(statement)
