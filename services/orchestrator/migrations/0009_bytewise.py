"""Text is compared byte by byte: see services/kit/text.py."""

from alembic import op

from services.kit.text import compare_bytewise

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    compare_bytewise(op)
