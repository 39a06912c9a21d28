"""The tables of erasures in each service's database: one row a customer, and one for each table and customer."""

from collections.abc import Callable
from typing import Any

from alembic.operations import Operations
from sqlalchemy import BigInteger, Column, LargeBinary

from services.kit.db.bytewise_text import Text


def _erasure_columns() -> list[Column[Any]]:
    """`customer` is the plain id, which the work needs, and NULL from its end on. `requested` is the time of the event,
    `recorded` and `finished` are the database's time. `address_hashes`: a JSON list, of the preference service alone.
    """
    return [
        Column("pseudonym", Text, primary_key=True),
        Column("customer", Text),
        Column("requested", BigInteger, nullable=False),
        Column("recorded", BigInteger, nullable=False),
        Column("finished", BigInteger),
        Column("rows", BigInteger, nullable=False),
        Column("address_hashes", LargeBinary),
    ]


def _erased_rows_columns() -> list[Column[Any]]:
    """How many rows of the table `store` were removed or made anonymous, and when the last of them was; 0 rows: when it
    was found that there are none.
    """
    return [
        Column("pseudonym", Text, primary_key=True),
        Column("store", Text, primary_key=True),
        Column("rows", BigInteger, nullable=False),
        Column("at", BigInteger, nullable=False),
    ]


TABLES: dict[str, Callable[[], list[Column[Any]]]] = {"erasure": _erasure_columns}
INDEXES: dict[str, tuple[str, tuple[str, ...]]] = {"erasure_finished": ("erasure", ("finished",))}


def create_erasure_table(op: Operations | Any) -> None:
    """Create the table in a migration."""
    for name, columns in TABLES.items():
        op.create_table(name, *columns())
    for name, (table, indexed) in INDEXES.items():
        op.create_index(name, table, list(indexed))


def create_erased_rows_table(op: Operations | Any) -> None:
    """Create the table of rows by table in a migration: erasures of earlier versions have none."""
    op.create_table("erased_rows", *_erased_rows_columns())
