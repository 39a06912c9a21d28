"""Inbox, ledgers, decisions, messages, attempts, outbox and timers, as they are defined today."""

from alembic import op

from services.kit.db.tables import create_kit_tables
from services.orchestrator.decisions import tables as decisions
from services.orchestrator.decisions.tables import ROW_OPTIONS, UPDATED_IN_PLACE
from services.orchestrator.delivery import tables as delivery
from services.orchestrator.delivery.adapters.sandbox import tables as sandbox

revision = "0001"
down_revision = None


def upgrade() -> None:
    create_kit_tables(op)
    for name, columns in {**decisions.TABLES, **delivery.TABLES, **sandbox.TABLES}.items():
        op.create_table(name, *columns(), **(ROW_OPTIONS if name in UPDATED_IN_PLACE else {}))
    for name, (table, names) in {**decisions.INDEXES, **delivery.INDEXES, **sandbox.INDEXES}.items():
        op.create_index(name, table, list(names))
