"""People who sign in by the company's OpenID provider, and the campaigns that a key may change.

A new database has the columns already: steps 0002 and 0003 create the tables as they are defined today.
"""

from alembic import op
from sqlalchemy import Column, inspect

from services.kit.db.bytewise_text import Text
from services.orchestrator.sign_in.tables import PERSON_INDEX, TABLES

revision = "0034"
down_revision = "0033"

_ADDED = (("api_key", "topics"), ("api_key", "owners"), ("session", "person"))


def upgrade() -> None:
    for name, columns in TABLES.items():
        op.create_table(name, *columns())
    index, table, indexed = PERSON_INDEX
    op.create_index(index, table, list(indexed), unique=True)
    for table, name in _ADDED:
        if name not in {column["name"] for column in inspect(op.get_bind()).get_columns(table)}:
            op.add_column(table, Column(name, Text))
