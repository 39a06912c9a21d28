"""How many rows of each table an erasure has removed or made anonymous: the proof of an erasure."""

from alembic import op

from services.erasure.tables import create_erased_rows_table

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    create_erased_rows_table(op)
