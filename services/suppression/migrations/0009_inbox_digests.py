"""The inbox knows what an event said, to tell the same event again from another one under its id.

A new database has the column already: step 0001 creates the table as it is defined today.
"""

from alembic import op
from sqlalchemy import Column, LargeBinary, inspect

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    if "digest" not in {column["name"] for column in inspect(op.get_bind()).get_columns("inbox")}:
        op.add_column("inbox", Column("digest", LargeBinary))
