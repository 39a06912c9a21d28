"""Long ledgers stay in their rows: PostgreSQL compressed or moved those above two kilobytes at each change."""

from alembic import op

revision = "0024"
down_revision = "0023"


def upgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute("ALTER TABLE ledger SET (toast_tuple_target = 8160)")
