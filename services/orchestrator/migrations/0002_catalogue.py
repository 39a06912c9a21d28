"""Campaigns, the policy, API keys."""

from alembic import op
from sqlalchemy import text

from services.orchestrator.access import tables as access
from services.orchestrator.campaigns import tables as campaigns

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    for name, columns in {**campaigns.TABLES, **access.TABLES}.items():
        op.create_table(name, *columns())
    op.execute(text("INSERT INTO catalogue_state (id, version, policy_revision, active_policy) VALUES (1, 0, 0, NULL)"))
