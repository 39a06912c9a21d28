"""Tables of imports of do-not-contact entries: those of every import, and one for dry runs. No plain address is in
them.
"""

from collections.abc import Callable
from typing import Any

from alembic.operations import Operations
from sqlalchemy import BigInteger, Column, Identity, Integer

from services.bulk_import import tables as shared
from services.kit.db.bytewise_text import Text

_REHEARSAL = "suppression_import_rehearsal"


def _rehearsal_columns() -> list[Column[Any]]:
    """What a dry run would have added so far: its later rows are compared with it."""
    return [
        Column("seq", BigInteger().with_variant(Integer, "sqlite"), Identity(), primary_key=True),
        *(Column(name, Text, nullable=False) for name in ("import_id", "hash", "reason")),
        *(Column(name, Text) for name in ("channel", "topic", "classes")),
        Column("at", BigInteger, nullable=False),
        Column("expires", BigInteger),
    ]


TABLES: dict[str, Callable[[], list[Column[Any]]]] = {
    **shared.import_tables("suppression_import"),
    _REHEARSAL: _rehearsal_columns,
}


def create_import_tables(op: Operations | Any) -> None:
    """Create the tables in a migration."""
    shared.create_import_tables(op, "suppression_import")
    op.create_table(_REHEARSAL, *_rehearsal_columns())
    op.create_index(f"{_REHEARSAL}_hash", _REHEARSAL, ["import_id", "hash"])
