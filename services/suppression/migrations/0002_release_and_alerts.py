"""How fast what a lifted hold kept back is released; and what Alertmanager has told about each alert."""

from alembic import op
from sqlalchemy import BigInteger, Column, Integer

from services.kit.db.bytewise_text import Text

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("hold", Column("release_rate", Integer, nullable=True))
    op.create_table(
        "alert",
        Column("fingerprint", Text, primary_key=True),
        Column("started", BigInteger, nullable=True),
        Column("ended", BigInteger, nullable=True),
        Column("told", BigInteger, nullable=False),
    )
    op.create_index("alert_told", "alert", ["told"])
