"""Releases of what holds kept back: who waits for which hold is found by its key, and each release has its pace."""

from alembic import op
from sqlalchemy import BigInteger, Column

from services.kit.db.bytewise_text import Text

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.create_index("parked_cause", "parked", ["cause", "name"])
    op.create_table(
        "hold_release", Column("name", Text, primary_key=True), Column("next_at", BigInteger, nullable=False)
    )
