"""The audit log, the person that a key belongs to, and by which key a version was edited.

A new database has the columns already: steps 0002 and later create the tables as they are defined today.
"""

from alembic import op
from sqlalchemy import Column, inspect

from schemas.audit_log import FIRST_DIGEST
from services.kit.db.bytewise_text import Text
from services.orchestrator.audit_log.tables import TABLES

revision = "0032"
down_revision = "0031"

_ADDED = (
    ("api_key", "person"),
    ("api_key", "created_by_id"),
    ("campaign_version", "editor_id"),
    ("policy_version", "editor_id"),
)


def upgrade() -> None:
    for name, columns in TABLES.items():
        op.create_table(name, *columns())
    op.execute(f"INSERT INTO audit_chain (id, seq, digest) VALUES (1, 0, '{FIRST_DIGEST}')")
    for table, name in _ADDED:
        if name not in {column["name"] for column in inspect(op.get_bind()).get_columns(table)}:
            op.add_column(table, Column(name, Text))
