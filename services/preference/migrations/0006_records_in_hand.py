"""Workers mark the records that they have in hand, so that one that ends its process is found."""

from alembic import op

from services.kit.db.tables import add_records_in_hand

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    add_records_in_hand(op)
