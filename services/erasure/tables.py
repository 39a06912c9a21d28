"""The table of erasures, one row a customer, in each service's database."""

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


TABLES: dict[str, Callable[[], list[Column[Any]]]] = {"erasure": _erasure_columns}
INDEXES: dict[str, tuple[str, tuple[str, ...]]] = {"erasure_finished": ("erasure", ("finished",))}


def create_erasure_table(op: Operations | Any) -> None:
    """Create the table in a migration."""
    for name, columns in TABLES.items():
        op.create_table(name, *columns())
    for name, (table, indexed) in INDEXES.items():
        op.create_index(name, table, list(indexed))
