"""Tables that the kit needs in each service's database."""

from __future__ import annotations

from typing import Any

from alembic.operations import Operations
from sqlalchemy import BigInteger, Column, Identity, Index, Integer, LargeBinary, MetaData, Table, text

from services.kit.db.bytewise_text import Text


def _lease_columns() -> list[Column[Any]]:
    return [
        Column("topic", Text, primary_key=True),
        Column("partition", Integer, primary_key=True, autoincrement=False),
        Column("epoch", BigInteger, nullable=False),
        Column("next_offset", BigInteger, nullable=False),
    ]


def _dead_letter_columns() -> list[Column[Any]]:
    return [
        Column("id", BigInteger().with_variant(Integer, "sqlite"), Identity(), primary_key=True),
        Column("topic", Text, nullable=False),
        Column("partition", Integer, nullable=False),
        Column("offset", BigInteger, nullable=False),
        Column("timestamp", BigInteger, nullable=False),
        Column("key", LargeBinary),
        Column("value", LargeBinary),
        Column("headers", LargeBinary, nullable=False),
        Column("stage", Text, nullable=False),
        Column("error_class", Text, nullable=False),
        Column("error_message", Text, nullable=False),
        Column("attempts", Integer, nullable=False),
        Column("at", BigInteger, nullable=False),
        Column("published", BigInteger),
        Column("state", Text, nullable=False),
    ]


def _idempotency_columns() -> list[Column[Any]]:
    return [
        Column("key", Text, primary_key=True),
        Column("principal", Text, nullable=False),
        Column("fingerprint", Text, nullable=False),
        Column("status", Integer),
        Column("body", LargeBinary),
        Column("at", BigInteger, nullable=False),
    ]


_NOT_PUBLISHED = text("published IS NULL")
_UNPUBLISHED_FILTER: dict[str, Any] = {"sqlite_where": _NOT_PUBLISHED, "postgresql_where": _NOT_PUBLISHED}


def add_kit_tables(metadata: MetaData) -> None:
    """Adds `partition_lease`, `dead_letter` and `idempotency` to a service's metadata."""
    Table("partition_lease", metadata, *_lease_columns())
    letters = Table("dead_letter", metadata, *_dead_letter_columns())
    Index("dead_letter_unpublished", letters.c.id, **_UNPUBLISHED_FILTER)
    requests = Table("idempotency", metadata, *_idempotency_columns())
    Index("idempotency_at", requests.c.at)


def create_kit_tables(op: Operations | Any) -> None:
    """Creates them in a migration: call it from a service's first migration as `create_kit_tables(op)`."""
    op.create_table("partition_lease", *_lease_columns())
    op.create_table("dead_letter", *_dead_letter_columns())
    op.create_index("dead_letter_unpublished", "dead_letter", ["id"], **_UNPUBLISHED_FILTER)
    op.create_table("idempotency", *_idempotency_columns())
    op.create_index("idempotency_at", "idempotency", ["at"])
