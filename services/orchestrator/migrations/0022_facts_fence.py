"""How far facts must have applied the log, by partition. Empty: as far as we have, until each owner has stored its own.

A new database has the table already: step 0001 creates the tables as they are defined today.
"""

from alembic import op
from sqlalchemy import inspect

from services.orchestrator.decisions.tables import TABLES

revision = "0022"
down_revision = "0021"


def upgrade() -> None:
    if not inspect(op.get_bind()).has_table("facts_fence"):
        op.create_table("facts_fence", *TABLES["facts_fence"]())
