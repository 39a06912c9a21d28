"""Tables of imports. No plain address is in them: rows that wait to be applied are sealed."""

from collections.abc import Callable
from typing import Any

from alembic.operations import Operations
from sqlalchemy import BigInteger, Column, Identity, Integer, LargeBinary

from services.kit.db.bytewise_text import Text


def _suppression_import() -> list[Column[Any]]:
    """`header`: the columns of a CSV file, as JSON. `seen`: the last sign of life of the upload, or of the process that
    runs the job (database time). `probes`: rows that the check at the end asks about, packed; gone once it has ended.
    """
    return [
        Column("id", Text, primary_key=True),
        *(Column(name, Text, nullable=False) for name in ("state", "format", "requested_by")),
        *(Column(name, Text) for name in ("delimiter", "header", "owner", "problem", "waiting")),
        Column("dry_run", Integer, nullable=False),
        *(Column(name, BigInteger, nullable=False) for name in ("size", "total", "added", "existing", "refused")),
        *(Column(name, BigInteger, nullable=False) for name in ("created", "seen")),
        *(Column(name, BigInteger) for name in ("started", "finished")),
        Column("probes", LargeBinary),
    ]


def _suppression_import_part() -> list[Column[Any]]:
    """`body`: some rows of the file, sealed. A part is deleted in the transaction that applies it."""
    return [
        Column("import_id", Text, primary_key=True),
        Column("number", Integer, primary_key=True, autoincrement=False),
        Column("body", LargeBinary, nullable=False),
    ]


def _suppression_import_result() -> list[Column[Any]]:
    """The results of the rows of one part, packed; without address and customer."""
    return [
        Column("import_id", Text, primary_key=True),
        Column("first_row", BigInteger, primary_key=True, autoincrement=False),
        Column("last_row", BigInteger, nullable=False),
        Column("refused", Integer, nullable=False),
        Column("body", LargeBinary, nullable=False),
    ]


def _suppression_import_rehearsal() -> list[Column[Any]]:
    """What a dry run would have added so far: its later rows are compared with it."""
    return [
        Column("seq", BigInteger().with_variant(Integer, "sqlite"), Identity(), primary_key=True),
        *(Column(name, Text, nullable=False) for name in ("import_id", "hash", "reason")),
        *(Column(name, Text) for name in ("channel", "topic", "classes")),
        Column("at", BigInteger, nullable=False),
        Column("expires", BigInteger),
    ]


TABLES: dict[str, Callable[[], list[Column[Any]]]] = {
    "suppression_import": _suppression_import,
    "suppression_import_part": _suppression_import_part,
    "suppression_import_result": _suppression_import_result,
    "suppression_import_rehearsal": _suppression_import_rehearsal,
}
INDEXES: dict[str, tuple[str, tuple[str, ...]]] = {
    "suppression_import_created": ("suppression_import", ("created", "id")),
    "suppression_import_rehearsal_hash": ("suppression_import_rehearsal", ("import_id", "hash")),
}


def create_import_tables(op: Operations | Any) -> None:
    """Create the tables in a migration."""
    for name, columns in TABLES.items():
        op.create_table(name, *columns())
    for name, (table, indexed) in INDEXES.items():
        op.create_index(name, table, list(indexed))
