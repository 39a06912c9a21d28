"""An event is stored with its first decision, and the content of a message with the message; and the views on them.

Events that are stored already stay in `inbox`.
"""

from alembic import op
from sqlalchemy import Column, inspect
from sqlalchemy.engine import reflection

from services.orchestrator.decisions.tables import EVENT_INDEX, STORED_EVENT_VIEW, TABLES, WIDE_DECISIONS
from services.orchestrator.delivery.tables import view_statements

revision = "0021"
down_revision = "0020"


def upgrade() -> None:
    schema = inspect(op.get_bind())
    for table in ("decision", "message"):
        _add_missing_columns(schema, table)
    if schema.has_table("message_content"):
        content = "(SELECT c.content FROM message_content c WHERE c.message_id = message.message_id)"
        op.execute(f"UPDATE message SET content = {content}")
        op.drop_table("message_content")
    op.execute(EVENT_INDEX)
    dialect = op.get_bind().dialect.name
    if dialect == "postgresql":
        op.execute(WIDE_DECISIONS)
    for statement in (STORED_EVENT_VIEW, *view_statements("postgresql" if dialect == "postgresql" else "sqlite")):
        op.execute(statement)


def _add_missing_columns(schema: reflection.Inspector, table: str) -> None:
    present = {column["name"] for column in schema.get_columns(table)}
    for column in TABLES[table]():
        if column.name not in present:
            op.add_column(table, Column(column.name, column.type, nullable=True))
