"""The outbox says which adapter a message waits for, an adapter with a rate has one line for all processes, and
processes note which adapters get nothing from them.
"""

from alembic import op
from sqlalchemy import inspect

from services.orchestrator.decisions.tables import INDEXES, TABLES
from services.orchestrator.delivery.tables import ADAPTER_TABLES

revision = "0025"
down_revision = "0024"


def upgrade() -> None:
    known = {column["name"] for column in inspect(op.get_bind()).get_columns("outbox")}
    for column in TABLES["outbox"]():
        if column.name not in known:  # a new database has it: step 0001 creates the tables as they are defined today
            op.add_column("outbox", column)
    for name, columns in ADAPTER_TABLES.items():
        op.create_table(name, *columns())
    op.drop_index("outbox_order")
    table, names = INDEXES["outbox_order"]
    op.create_index("outbox_order", table, names)
