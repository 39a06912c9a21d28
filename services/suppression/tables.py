"""Tables. `customer_state` holds one packed row per customer and is all that the hot path reads of them; the other
tables are the history behind it, changed in the same transaction.

No address is kept: `address_entry` knows it by its keyed hash, people see it masked.
"""

from collections.abc import Callable
from typing import Any

from sqlalchemy import BigInteger, Column, Identity, Index, Integer, LargeBinary, MetaData, Table, text

from services.kit.db.bytewise_text import Text
from services.kit.db.tables import kit_tables

Columns = Callable[[], list[Column[Any]]]


def _serial(name: str) -> Column[Any]:
    return Column(name, BigInteger().with_variant(Integer, "sqlite"), Identity(), primary_key=True)


def _text(name: str, *, null: bool = False) -> Column[Any]:
    return Column(name, Text, nullable=null)


def _time(name: str, *, null: bool = False) -> Column[Any]:
    return Column(name, BigInteger, nullable=null)


def _customer_state() -> list[Column[Any]]:
    return [
        Column("customer", Text, primary_key=True),
        _time("version"),
        Column("body", LargeBinary, nullable=False),
    ]


def _scope() -> list[Column[Any]]:
    return [_text("channel", null=True), _text("topic", null=True), _text("classes", null=True)]


def _validity() -> list[Column[Any]]:
    return [_text("reason"), _time("at"), _time("expires", null=True)]


def _suppression_entry() -> list[Column[Any]]:
    return [
        Column("id", Text, primary_key=True),
        _text("customer", null=True),
        _text("masked", null=True),
        *_scope(),
        *_validity(),
        _text("source", null=True),
        _text("added_by"),
        _time("added_at"),
        _text("removed_by", null=True),
        _time("removed_at", null=True),
        _text("remove_reason", null=True),
    ]


def _address_entry() -> list[Column[Any]]:
    return [
        Column("hash", Text, primary_key=True),
        Column("id", Text, primary_key=True),
        *_scope(),
        *_validity(),
    ]


def _situation_event() -> list[Column[Any]]:
    return [
        _serial("seq"),
        _text("customer"),
        _text("kind"),
        _text("ref"),
        _text("action"),
        _time("at"),
        _text("source"),
        _text("event_id"),
        _time("recorded"),
    ]


def _quarantine() -> list[Column[Any]]:
    return [
        _serial("seq"),
        _text("customer"),
        _time("start"),
        _time("until"),
        _text("topic"),
        Column("partition", Integer, nullable=False),
        _time("log_offset"),
        _text("error_class"),
    ]


def _hold() -> list[Column[Any]]:
    return [
        _serial("seq"),
        _text("key"),
        _text("mode"),
        _time("start"),
        _time("until", null=True),
        Column("fact", LargeBinary, nullable=False),
        _text("document"),
        _text("placed_by"),
        _time("placed_at"),
        _time("ended_at", null=True),
        _text("lifted_by", null=True),
        _text("lift_reason", null=True),
    ]


def _inbox() -> list[Column[Any]]:
    return [
        Column("customer", Text, primary_key=True),
        Column("source", Text, primary_key=True),
        Column("event_id", Text, primary_key=True),
        _time("received"),
    ]


def _situation_kinds() -> list[Column[Any]]:
    return [_serial("seq"), _time("policy_version"), Column("body", LargeBinary, nullable=False), _time("at")]


def _settled() -> list[Column[Any]]:
    return [Column("name", Text, primary_key=True), _text("value")]


TABLES: dict[str, Columns] = {
    "customer_state": _customer_state,
    "suppression_entry": _suppression_entry,
    "address_entry": _address_entry,
    "situation_event": _situation_event,
    "quarantine": _quarantine,
    "hold": _hold,
    "inbox": _inbox,
    "situation_kinds": _situation_kinds,
    "settled": _settled,
}

INDEXES: dict[str, tuple[str, tuple[str, ...], dict[str, Any]]] = {
    "suppression_entry_customer": ("suppression_entry", ("customer", "id"), {}),
    "address_entry_id": ("address_entry", ("id",), {}),
    "situation_event_customer": ("situation_event", ("customer", "seq"), {}),
    "quarantine_customer": ("quarantine", ("customer", "seq"), {}),
    "hold_key": ("hold", ("key", "seq"), {}),
    "hold_standing": (
        "hold",
        ("key",),
        {"unique": True, "sqlite_where": text("ended_at IS NULL"), "postgresql_where": text("ended_at IS NULL")},
    ),
    "inbox_received": ("inbox", ("received",), {}),
}

ROW_OPTIONS: dict[str, Any] = {"postgresql_with": {"fillfactor": 70}}
"""Rows that are updated in place leave room beside them, so that an update touches no index."""
UPDATED = ("customer_state",)


def tables(metadata: MetaData) -> None:
    """Add this service's tables and the kit's to the metadata."""
    kit_tables(metadata)
    for name, columns in TABLES.items():
        Table(name, metadata, *columns(), **(ROW_OPTIONS if name in UPDATED else {}))
    for name, (table, names, options) in INDEXES.items():
        Index(name, *(metadata.tables[table].c[column] for column in names), **options)
