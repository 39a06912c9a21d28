"""What changes of messages is kept until it is in its topic."""

from alembic import op

from services.kit.bus.outgoing import create_outgoing

revision = "0028"
down_revision = "0027"


def upgrade() -> None:
    create_outgoing(op)
