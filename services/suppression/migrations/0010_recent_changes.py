"""Notes what has changed lately, so that a last look costs little: see services/kit/db/recent_changes.py."""

from alembic import op

from services.kit.db.recent_changes import create_recent_changes
from services.suppression.tables import WATCHED_TABLES

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    create_recent_changes(op, WATCHED_TABLES)
