"""What changes of opt-outs is kept until it is in its topic."""

from alembic import op

from services.kit.bus.outgoing import create_outgoing

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    create_outgoing(op)
