"""Events that were accepted over HTTP can be asked about, whatever comes of them."""

from alembic import op

from services.orchestrator.decisions import accepted_events

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    for name, columns in accepted_events.TABLES.items():
        op.create_table(name, *columns())
    for name, (table, columns) in accepted_events.INDEXES.items():
        op.create_index(name, table, list(columns))
