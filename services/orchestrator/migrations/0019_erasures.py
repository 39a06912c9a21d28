"""Erasures: who was erased, by a keyed hash, and how far the work is."""

from alembic import op

from services.erasure.tables import create_erasure_table

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    create_erasure_table(op)
