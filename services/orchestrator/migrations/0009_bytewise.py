"""Text is compared byte by byte: see services/kit/db/bytewise_text.py."""

from alembic import op

from services.kit.db.bytewise_text import compare_bytewise

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    compare_bytewise(op)
