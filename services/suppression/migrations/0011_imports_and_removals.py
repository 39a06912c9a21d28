"""Imports as jobs, removals that another person approves, and a note on each entry.

A new database has the column already: step 0001 creates the table as it is defined today.
"""

from alembic import op
from sqlalchemy import Column, inspect

from services.kit.db.bytewise_text import Text
from services.suppression.imports.tables import create_import_tables
from services.suppression.removals.tables import create_removal_table

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    columns = inspect(op.get_bind()).get_columns("suppression_entry")
    if "note" not in {column["name"] for column in columns}:
        op.add_column("suppression_entry", Column("note", Text))
    create_import_tables(op)
    create_removal_table(op)
