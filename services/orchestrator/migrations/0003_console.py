"""The console: people who sign in, and the newest messages of the sandbox."""

from alembic import op

from services.kit.http.sessions import SESSION_TABLES

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    for name, columns in SESSION_TABLES.items():
        op.create_table(name, *columns())
    op.create_index("sandbox_message_time", "sandbox_message", ["at", "message_id"])
