"""Tables that the kit needs in each service's database."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from alembic.operations import Operations
from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    inspect,
    text,
)

from schemas.event import peek_identity
from services.kit.db.bytewise_text import Text

decode_headers = msgspec.msgpack.Decoder(tuple[tuple[str, bytes], ...]).decode
"""Decodes the column `headers` of a dead letter."""


def _lease_columns() -> list[Column[Any]]:
    return [
        Column("topic", Text, primary_key=True),
        Column("partition", Integer, primary_key=True, autoincrement=False),
        Column("epoch", BigInteger, nullable=False),
        Column("next_offset", BigInteger, nullable=False),
    ]


def _in_hand_columns() -> list[Column[Any]]:
    return [
        Column("mark", Text, primary_key=True),
        Column("topic", Text, primary_key=True),
        Column("partition", Integer, primary_key=True, autoincrement=False),
        Column("first_offset", BigInteger, nullable=False),
        Column("last_offset", BigInteger, nullable=False),
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
        *_dead_letter_life_columns(),
    ]


def _dead_letter_life_columns() -> list[Column[Any]]:
    """The columns by which a letter is found and closed. The first versions had none of them."""
    return [
        Column("event_source", Text),
        Column("event_id", Text),
        Column("event_type", Text),
        Column("customer", Text),
        Column("problems", Text, nullable=False, server_default="[]"),
        Column("closed_at", BigInteger),
        Column("closed_by", Text),
        Column("close_reason", Text),
        Column("effect", Text),
        Column("job", Text),
        Column("redrives", Integer, nullable=False, server_default="0"),
        Column("redriven_at", BigInteger),
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
_OPEN = text("state = 'open'")
_OPEN_FILTER: dict[str, Any] = {"sqlite_where": _OPEN, "postgresql_where": _OPEN}
_LETTER_INDEXES: dict[str, tuple[Sequence[str], dict[str, Any]]] = {
    "dead_letter_unpublished": (["id"], _UNPUBLISHED_FILTER),
    "dead_letter_open": (["topic", "at"], _OPEN_FILTER),
    "dead_letter_at": (["at", "id"], {}),
    "dead_letter_closed_at": (["closed_at"], {}),
}


def add_kit_tables(metadata: MetaData) -> None:
    """Adds `partition_lease`, `record_in_hand`, `dead_letter` and `idempotency` to a service's metadata."""
    Table("partition_lease", metadata, *_lease_columns())
    Table("record_in_hand", metadata, *_in_hand_columns())
    letters = Table("dead_letter", metadata, *_dead_letter_columns())
    for name, (columns, options) in _LETTER_INDEXES.items():
        Index(name, *(letters.c[column] for column in columns), **options)
    requests = Table("idempotency", metadata, *_idempotency_columns())
    Index("idempotency_at", requests.c.at)


def create_kit_tables(op: Operations | Any) -> None:
    """Creates them in a migration: call it from a service's first migration as `create_kit_tables(op)`."""
    op.create_table("partition_lease", *_lease_columns())
    op.create_table("record_in_hand", *_in_hand_columns())
    op.create_table("dead_letter", *_dead_letter_columns())
    for name, (columns, options) in _LETTER_INDEXES.items():
        op.create_index(name, "dead_letter", columns, **options)
    op.create_table("idempotency", *_idempotency_columns())
    op.create_index("idempotency_at", "idempotency", ["at"])


def add_dead_letter_life(op: Operations) -> None:
    """Migrates a `dead_letter` table of the first versions: adds what it takes to find and close a letter, and reads
    the identity of the events of the letters that it has from their bytes.

    A database whose first step was run by this version has all of it already.
    """
    connection = op.get_bind()
    present = {column["name"] for column in inspect(connection).get_columns("dead_letter")}
    for column in _dead_letter_life_columns():
        if column.name not in present:
            op.add_column("dead_letter", column)
    indexes = {index["name"] for index in inspect(connection).get_indexes("dead_letter")}
    for name, (columns, options) in _LETTER_INDEXES.items():
        if name not in indexes:
            op.create_index(name, "dead_letter", columns, **options)
    if "event_id" not in present:
        _read_identities(connection)


def add_records_in_hand(op: Operations) -> None:
    """Migrates a database of a version that marked no records."""
    if not inspect(op.get_bind()).has_table("record_in_hand"):
        op.create_table("record_in_hand", *_in_hand_columns())


def _read_identities(connection: Connection) -> None:
    last_id = 0
    page = text("SELECT id, key, value, headers FROM dead_letter WHERE id > :last ORDER BY id LIMIT 200")
    while rows := connection.execute(page, {"last": last_id}).all():
        last_id = rows[-1].id
        identities = [(row.id, peek_identity(row.key, decode_headers(row.headers), row.value)) for row in rows]
        connection.execute(
            text(
                "UPDATE dead_letter SET event_source = :source, event_id = :id, event_type = :type, "
                "customer = :customer WHERE id = :letter"
            ),
            [{"letter": letter, **msgspec.structs.asdict(identity)} for letter, identity in identities],
        )
