"""Notes of what has been carried over from an earlier version or setting."""

from alembic import op
from sqlalchemy import Column

from services.kit.db.bytewise_text import Text

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.create_table("settled", Column("name", Text, primary_key=True), Column("value", Text, nullable=False))
