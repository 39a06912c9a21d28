"""Keys may be bound to sources of events, and an accepted event knows who sent it.

A new database has the columns already: steps 0002 and 0014 create the tables as they are defined today.
"""

from alembic import op
from sqlalchemy import Column, inspect

from services.kit.db.bytewise_text import Text

revision = "0018"
down_revision = "0017"

_ADDED = {"api_key": "sources", "accepted_event": "sent_by"}


def upgrade() -> None:
    for table, name in _ADDED.items():
        if name not in {column["name"] for column in inspect(op.get_bind()).get_columns(table)}:
            op.add_column(table, Column(name, Text))
