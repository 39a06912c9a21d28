"""A timer counts its claims, so that a message whose evaluation ends the process is found. A new database has it."""

from alembic import op
from sqlalchemy import Column, SmallInteger, inspect

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    if "claims" not in {column["name"] for column in inspect(op.get_bind()).get_columns("timer")}:
        op.add_column("timer", Column("claims", SmallInteger, nullable=False, server_default="0"))
