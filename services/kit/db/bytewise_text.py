"""The text column type: compared byte by byte, whatever the locale of the database.

Keys are looked up and locked in this order, which is also Python's and SQLite's. A locale's order costs several times
as much per comparison, and an upgrade of the C library may change it under an index.
"""

from alembic.operations import Operations
from sqlalchemy import Text as AnyText
from sqlalchemy import text

Text = AnyText().with_variant(AnyText(collation="C"), "postgresql")

_LOCALE_COLUMNS = text(
    "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = current_schema() "
    "AND data_type = 'text' AND collation_name IS NULL AND table_name <> 'schema_version' ORDER BY table_name"
)


def compare_bytewise(op: Operations) -> None:
    """Migrates text columns created by earlier steps from the locale's order to byte order."""
    connection = op.get_bind()
    if connection.dialect.name == "postgresql":
        for table, column in connection.execute(_LOCALE_COLUMNS).all():
            op.execute(f'ALTER TABLE "{table}" ALTER COLUMN "{column}" TYPE text COLLATE "C"')
