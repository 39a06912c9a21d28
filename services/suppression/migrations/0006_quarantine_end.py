"""A quarantine ends when its dead letter is closed: the history keeps when."""

from alembic import op
from sqlalchemy import BigInteger, Column, inspect

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    # A database whose first step was run by this version has the column already.
    if "ended" not in {column["name"] for column in inspect(op.get_bind()).get_columns("quarantine")}:
        op.add_column("quarantine", Column("ended", BigInteger))
