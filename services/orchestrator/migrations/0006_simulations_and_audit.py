"""Simulations over recorded traffic; the auditor's cursor and what it found."""

from alembic import op
from sqlalchemy import text

from services.orchestrator.insight.audit import tables as audit
from services.orchestrator.insight.simulations import tables as simulations

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    for name, columns in {**simulations.TABLES, **audit.TABLES}.items():
        op.create_table(name, *columns())
    for name, (table, columns) in simulations.INDEXES.items():
        op.create_index(name, table, list(columns))
    for name, (table, columns) in audit.UNIQUE.items():
        op.create_index(name, table, list(columns), unique=True)
    # events are written in order of receipt: a block range index finds a span of time and costs next to nothing
    op.create_index("inbox_received", "inbox", ["received"], postgresql_using="brin")
    op.execute(text("INSERT INTO audit_cursor (id, seq) VALUES (1, 0)"))
