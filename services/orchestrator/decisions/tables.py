"""Tables of the data plane. Every one is keyed by customer first where a customer is meant, so it can be spread.

`ledger` holds one packed row per customer; `contact_history`, `decision` and `attempt` are append-only. What a message
says lies apart from its state, which changes several times. The message itself carries its last attempt, from the mark
on; `attempt` keeps those that ended without being accepted.
"""

from collections.abc import Callable
from typing import Any

from sqlalchemy import BigInteger, Column, Identity, Index, Integer, LargeBinary, MetaData, SmallInteger, Table

from services.kit.db.bytewise_text import Text
from services.kit.db.tables import add_kit_tables

Columns = Callable[[], list[Column[Any]]]


def _serial(name: str) -> Column[Any]:
    return Column(name, BigInteger().with_variant(Integer, "sqlite"), Identity(), primary_key=True)


def _text(name: str, *, null: bool = False) -> Column[Any]:
    return Column(name, Text, nullable=null)


def _time(name: str, *, null: bool = False) -> Column[Any]:
    return Column(name, BigInteger, nullable=null)


def _inbox() -> list[Column[Any]]:
    return [
        Column("customer", Text, primary_key=True),
        Column("source", Text, primary_key=True),
        Column("event_id", Text, primary_key=True),
        _text("type"),
        _time("time"),
        _time("received"),
        _text("topic"),
        Column("partition", Integer, nullable=False),
        Column("log_offset", BigInteger, nullable=False),
        Column("event", LargeBinary, nullable=False),
    ]


def _ledger() -> list[Column[Any]]:
    return [
        Column("customer", Text, primary_key=True),
        Column("version", BigInteger, nullable=False),
        _time("complete_from"),
        Column("ring", LargeBinary, nullable=False),
    ]


def _attribute_columns() -> list[Column[Any]]:
    return [_text("channel"), _text("cls"), _text("intent", null=True), _text("topic", null=True)]


def _contact_history() -> list[Column[Any]]:
    return [
        _serial("seq"),
        _text("customer"),
        _text("message_id"),
        _text("state"),
        _time("at"),
        _time("since"),
        *_attribute_columns(),
        _text("campaign", null=True),
        Column("priority", SmallInteger, nullable=False),
        Column("event", BigInteger, nullable=False),
        Column("reported", SmallInteger, nullable=False),
        _time("recorded"),
    ]


def _decision() -> list[Column[Any]]:
    return [
        _serial("decision_id"),
        _time("time"),
        _text("message_id"),
        _text("customer"),
        _text("campaign"),
        _text("channel"),
        _text("cls"),
        _text("outcome"),
        _text("reason"),
        _text("event_source"),
        _text("event_id"),
        Column("body", LargeBinary, nullable=False),
    ]


def _message() -> list[Column[Any]]:
    return [
        Column("message_id", Text, primary_key=True),
        _text("customer"),
        _text("campaign"),
        Column("version", Integer, nullable=False),
        Column("policy_version", Integer, nullable=False),
        *_attribute_columns(),
        Column("priority", SmallInteger, nullable=False),
        _text("event_source"),
        _text("event_id"),
        _text("state"),
        _time("since", null=True),
        _time("until", null=True),
        _time("expires_at"),
        Column("attempts", Integer, nullable=False),
        _text("owner", null=True),
        _time("claimed_at", null=True),
        _time("opened", null=True),
        _time("closed_at", null=True),
        _text("address_hash", null=True),
        _text("to_address", null=True),
        _text("locale", null=True),
        _text("adapter", null=True),
        _text("provider_id", null=True),
        _text("detail", null=True),
        Column("maybe_sent", SmallInteger, nullable=False, server_default="0"),
        _time("created"),
        _time("updated"),
    ]


def _message_content() -> list[Column[Any]]:
    return [Column("message_id", Text, primary_key=True), Column("content", LargeBinary, nullable=False)]


def _sandbox_message() -> list[Column[Any]]:
    return [
        Column("message_id", Text, primary_key=True),
        _text("customer"),
        _text("campaign"),
        _text("channel"),
        _text("to_address"),
        Column("content", LargeBinary, nullable=False),
        _time("at"),
    ]


def _attempt() -> list[Column[Any]]:
    return [
        _serial("attempt_id"),
        _text("message_id"),
        _text("customer"),
        Column("number", Integer, nullable=False),
        _text("owner"),
        _time("claimed_at"),
        _time("opened"),
        _text("outcome"),
        _text("detail", null=True),
        _time("closed_at"),
    ]


def _outbox() -> list[Column[Any]]:
    return [
        _serial("seq"),
        Column("shard", SmallInteger, nullable=False),
        _text("channel"),
        _text("message_id"),
        _text("customer"),
    ]


def _timer() -> list[Column[Any]]:
    return [
        Column("message_id", Text, primary_key=True),
        _text("customer"),
        _text("kind"),
        _time("due"),
        _time("claimed_until"),
    ]


def _parked() -> list[Column[Any]]:
    return [
        Column("message_id", Text, primary_key=True),
        Column("cause", Text, primary_key=True),
        Column("name", Text, primary_key=True),
        _text("customer"),
    ]


def _shard_lease() -> list[Column[Any]]:
    return [
        Column("shard", SmallInteger, primary_key=True, autoincrement=False),
        Column("epoch", BigInteger, nullable=False),
        _text("owner"),
        _time("expires"),
    ]


def _dispatcher() -> list[Column[Any]]:
    return [Column("owner", Text, primary_key=True), _time("expires")]


TABLES: dict[str, Columns] = {
    "inbox": _inbox,
    "ledger": _ledger,
    "contact_history": _contact_history,
    "decision": _decision,
    "message": _message,
    "message_content": _message_content,
    "sandbox_message": _sandbox_message,
    "attempt": _attempt,
    "outbox": _outbox,
    "timer": _timer,
    "parked": _parked,
    "shard_lease": _shard_lease,
    "dispatcher": _dispatcher,
}

INDEXES: dict[str, tuple[str, tuple[str, ...]]] = {
    "inbox_event": ("inbox", ("event_id",)),
    "contact_history_customer": ("contact_history", ("customer", "seq")),
    "decision_customer": ("decision", ("customer", "decision_id")),
    "decision_time": ("decision", ("time", "message_id")),
    "message_customer": ("message", ("customer", "created")),
    "sandbox_message_customer": ("sandbox_message", ("customer", "at")),
    "attempt_message": ("attempt", ("message_id", "number")),
    "outbox_order": ("outbox", ("shard", "channel", "seq")),
    "timer_due": ("timer", ("due",)),
    "parked_customer": ("parked", ("customer",)),
}

ROW_OPTIONS: dict[str, Any] = {"postgresql_with": {"fillfactor": 70}}
"""Rows that are updated in place leave room beside them, so that an update touches no index."""
UPDATED_IN_PLACE = ("ledger",)


def define_orchestrator_tables(metadata: MetaData) -> None:
    """Add the data plane's tables and the kit's to the metadata."""
    add_kit_tables(metadata)
    for name, columns in TABLES.items():
        Table(name, metadata, *columns(), **(ROW_OPTIONS if name in UPDATED_IN_PLACE else {}))
    for name, (table, names) in INDEXES.items():
        Index(name, *(metadata.tables[table].c[column] for column in names))
