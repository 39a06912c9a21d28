"""Messages with an unknown outcome are found by when their provider is asked about them."""

from alembic import op

revision = "0031"
down_revision = "0030"


def upgrade() -> None:
    op.execute("CREATE INDEX message_search ON message (adapter, until) WHERE state = 'unknown' AND until IS NOT NULL")
