"""Changes of situations by hand have reasons, and situations can be corrected.

A new database has the columns already: step 0001 creates the table as it is defined today.
"""

from alembic import op
from sqlalchemy import inspect

from services.suppression.tables import situation_reason_columns

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    known = {column["name"] for column in inspect(op.get_bind()).get_columns("situation_event")}
    for column in situation_reason_columns():
        if column.name not in known:
            op.add_column("situation_event", column)
