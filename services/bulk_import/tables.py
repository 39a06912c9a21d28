"""Tables of one kind of import. No plain row is in them: rows that wait to be applied are sealed."""

from collections.abc import Callable
from typing import Any

from alembic.operations import Operations
from sqlalchemy import BigInteger, Column, Integer, LargeBinary

from services.kit.db.bytewise_text import Text


def _import_columns() -> list[Column[Any]]:
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


def _part_columns() -> list[Column[Any]]:
    """`body`: some rows of the file, sealed. A part is deleted in the transaction that applies it."""
    return [
        Column("import_id", Text, primary_key=True),
        Column("number", Integer, primary_key=True, autoincrement=False),
        Column("body", LargeBinary, nullable=False),
    ]


def _result_columns() -> list[Column[Any]]:
    """The results of the rows of one part, packed; without address and customer."""
    return [
        Column("import_id", Text, primary_key=True),
        Column("first_row", BigInteger, primary_key=True, autoincrement=False),
        Column("last_row", BigInteger, nullable=False),
        Column("refused", Integer, nullable=False),
        Column("body", LargeBinary, nullable=False),
    ]


def import_tables(table: str) -> dict[str, Callable[[], list[Column[Any]]]]:
    """The tables of the kind whose jobs are in `table`, each with its columns."""
    return {table: _import_columns, f"{table}_part": _part_columns, f"{table}_result": _result_columns}


def create_import_tables(op: Operations | Any, table: str) -> None:
    """Create the tables in a migration."""
    for name, columns in import_tables(table).items():
        op.create_table(name, *columns())
    op.create_index(f"{table}_created", table, ["created", "id"])
