"""Tables of the suppression service.

`customer_state` has one packed row per customer, the only one that the hot path reads; the other tables are the history
behind it, written in the same transaction. No plain address is stored: `address_entry` has its keyed hash, and people
see it masked.
"""

from collections.abc import Callable
from typing import Any

from sqlalchemy import BigInteger, Column, Identity, Index, Integer, LargeBinary, MetaData, Table, text

from services.kit.db.bytewise_text import Text
from services.kit.db.tables import add_kit_tables

ColumnFactory = Callable[[], list[Column[Any]]]


def _serial_column(name: str) -> Column[Any]:
    return Column(name, BigInteger().with_variant(Integer, "sqlite"), Identity(), primary_key=True)


def _text_column(name: str, *, null: bool = False) -> Column[Any]:
    return Column(name, Text, nullable=null)


def _instant_column(name: str, *, null: bool = False) -> Column[Any]:
    return Column(name, BigInteger, nullable=null)


def _customer_state_columns() -> list[Column[Any]]:
    return [
        Column("customer", Text, primary_key=True),
        _instant_column("version"),
        Column("body", LargeBinary, nullable=False),
    ]


def _scope_columns() -> list[Column[Any]]:
    return [_text_column("channel", null=True), _text_column("topic", null=True), _text_column("classes", null=True)]


def _validity_columns() -> list[Column[Any]]:
    return [_text_column("reason"), _instant_column("at"), _instant_column("expires", null=True)]


def _suppression_entry_columns() -> list[Column[Any]]:
    return [
        Column("id", Text, primary_key=True),
        _text_column("customer", null=True),
        _text_column("masked", null=True),
        *_scope_columns(),
        *_validity_columns(),
        _text_column("source", null=True),
        _text_column("added_by"),
        _instant_column("added_at"),
        _text_column("removed_by", null=True),
        _instant_column("removed_at", null=True),
        _text_column("remove_reason", null=True),
        _text_column("note", null=True),
    ]


def _address_entry_columns() -> list[Column[Any]]:
    return [
        Column("hash", Text, primary_key=True),
        Column("id", Text, primary_key=True),
        *_scope_columns(),
        *_validity_columns(),
    ]


def _situation_event_columns() -> list[Column[Any]]:
    return [
        _serial_column("seq"),
        _text_column("customer"),
        _text_column("kind"),
        _text_column("ref"),
        _text_column("action"),
        _instant_column("at"),
        _text_column("source"),
        _text_column("event_id"),
        _instant_column("recorded"),
        *situation_reason_columns(),
    ]


def situation_reason_columns() -> list[Column[Any]]:
    """Why a person changed a situation, and what a correction made of it."""
    return [
        _text_column("reason", null=True),
        _instant_column("opened", null=True),
        _instant_column("closed", null=True),
    ]


def _quarantine_columns() -> list[Column[Any]]:
    return [
        _serial_column("seq"),
        _text_column("customer"),
        _instant_column("start"),
        _instant_column("until"),
        _text_column("topic"),
        Column("partition", Integer, nullable=False),
        _instant_column("log_offset"),
        _text_column("error_class"),
        _instant_column("ended", null=True),
    ]


def _hold_columns() -> list[Column[Any]]:
    return [
        _serial_column("seq"),
        _text_column("key"),
        _text_column("mode"),
        _instant_column("start"),
        _instant_column("until", null=True),
        Column("fact", LargeBinary, nullable=False),
        _text_column("document"),
        _text_column("placed_by"),
        _instant_column("placed_at"),
        _instant_column("ended_at", null=True),
        _text_column("lifted_by", null=True),
        _text_column("lift_reason", null=True),
    ]


def _inbox_columns() -> list[Column[Any]]:
    return [
        Column("customer", Text, primary_key=True),
        Column("source", Text, primary_key=True),
        Column("event_id", Text, primary_key=True),
        _instant_column("received"),
        Column("digest", LargeBinary),
    ]


def _situation_kinds_columns() -> list[Column[Any]]:
    return [
        _serial_column("seq"),
        _instant_column("policy_version"),
        Column("body", LargeBinary, nullable=False),
        _instant_column("at"),
    ]


def _settled_columns() -> list[Column[Any]]:
    return [Column("name", Text, primary_key=True), _text_column("value")]


TABLES: dict[str, ColumnFactory] = {
    "customer_state": _customer_state_columns,
    "suppression_entry": _suppression_entry_columns,
    "address_entry": _address_entry_columns,
    "situation_event": _situation_event_columns,
    "quarantine": _quarantine_columns,
    "hold": _hold_columns,
    "inbox": _inbox_columns,
    "situation_kinds": _situation_kinds_columns,
    "settled": _settled_columns,
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
"""Leaves room on the pages for updated rows, so that an update touches no index."""
UPDATED_TABLES = ("customer_state",)
WATCHED_TABLES = {
    "customer_state": "customer",
    "address_entry": "CASE WHEN reason <> 'erased' THEN hash END",  # that of a pseudonym concerns whoever has it
    "hold": "CAST(NULL AS text)",
}
"""Tables that facts are read from, each with what names a row: see services/kit/db/recent_changes.py."""


def add_suppression_tables(metadata: MetaData) -> None:
    """Add this service's tables and the kit's to the metadata."""
    add_kit_tables(metadata)
    for name, columns in TABLES.items():
        Table(name, metadata, *columns(), **(ROW_OPTIONS if name in UPDATED_TABLES else {}))
    for name, (table, names, options) in INDEXES.items():
        Index(name, *(metadata.tables[table].c[column] for column in names), **options)
