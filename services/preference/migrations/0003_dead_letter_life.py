"""Dead letters can be found, redriven and discarded: see services/kit/db/tables.py."""

from alembic import op

from services.kit.db.tables import add_dead_letter_life

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    add_dead_letter_life(op)
