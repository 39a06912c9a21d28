"""Keys may expire. A new database has the column already: step 0002 creates the table as it is defined today."""

from alembic import op
from sqlalchemy import BigInteger, Column, inspect

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    if "expires" not in {column["name"] for column in inspect(op.get_bind()).get_columns("api_key")}:
        op.add_column("api_key", Column("expires", BigInteger))
