"""How many messages each agent has sent on a day."""

from alembic import op

from services.orchestrator.agent_messages.tables import TABLES

revision = "0035"
down_revision = "0034"


def upgrade() -> None:
    for name, columns in TABLES.items():
        op.create_table(name, *columns())
