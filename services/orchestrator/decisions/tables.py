"""Tables of events, ledgers, decisions and messages. Each has the customer in it, so that it can be partitioned.

`ledger` holds one packed row for each customer; `contact_history` and `decision` are append-only. The first decision
that an event has led to keeps the event as well: one row and four indexes in place of two rows and six. Events that
have led to no decision, reported contacts, are in `inbox`; so are those that earlier versions have stored. The view
`stored_event` has both. From its claim on a message names the handover that it belongs to; how that ended is read from
`tracked_message`: delivery/tables.py.
"""

from collections.abc import Callable
from typing import Any, Final

from sqlalchemy import BigInteger, Column, Identity, Integer, LargeBinary, SmallInteger

from services.kit.db.bytewise_text import Text

Columns = Callable[[], list[Column[Any]]]


def serial_column(name: str) -> Column[Any]:
    """A primary key that the database counts up."""
    return Column(name, BigInteger().with_variant(Integer, "sqlite"), Identity(), primary_key=True)


def text_column(name: str, *, null: bool = False) -> Column[Any]:
    """A text that is compared byte by byte."""
    return Column(name, Text, nullable=null)


def time_column(name: str, *, null: bool = False) -> Column[Any]:
    """An instant in microseconds since 1970, UTC."""
    return Column(name, BigInteger, nullable=null)


def _inbox() -> list[Column[Any]]:
    return [
        Column("customer", Text, primary_key=True),
        Column("source", Text, primary_key=True),
        Column("event_id", Text, primary_key=True),
        text_column("type"),
        time_column("time"),
        time_column("received"),
        text_column("topic"),
        Column("partition", Integer, nullable=False),
        Column("log_offset", BigInteger, nullable=False),
        Column("event", LargeBinary, nullable=False),
    ]


def _ledger() -> list[Column[Any]]:
    return [
        Column("customer", Text, primary_key=True),
        Column("version", BigInteger, nullable=False),
        time_column("complete_from"),
        Column("ring", LargeBinary, nullable=False),
    ]


def _attribute_columns() -> list[Column[Any]]:
    names = {"channel": False, "cls": False, "intent": True, "topic": True}
    return [text_column(name, null=null) for name, null in names.items()]


def _contact_history() -> list[Column[Any]]:
    return [
        serial_column("seq"),
        text_column("customer"),
        text_column("message_id"),
        text_column("state"),
        time_column("at"),
        time_column("since"),
        *_attribute_columns(),
        text_column("campaign", null=True),
        Column("priority", SmallInteger, nullable=False),
        Column("event", BigInteger, nullable=False),
        Column("reported", SmallInteger, nullable=False),
        time_column("recorded"),
    ]


def _decision() -> list[Column[Any]]:
    return [
        serial_column("decision_id"),
        time_column("time"),
        text_column("message_id"),
        text_column("customer"),
        text_column("campaign"),
        text_column("channel"),
        text_column("cls"),
        text_column("outcome"),
        text_column("reason"),
        text_column("event_source"),
        text_column("event_id"),
        Column("body", LargeBinary, nullable=False),
        text_column("event_type", null=True),
        time_column("event_time", null=True),
        text_column("log_topic", null=True),
        Column("log_partition", Integer, nullable=True),
        Column("log_offset", BigInteger, nullable=True),
        Column("event", LargeBinary, nullable=True),
    ]


def _message() -> list[Column[Any]]:
    return [
        Column("message_id", Text, primary_key=True),
        text_column("customer"),
        text_column("campaign"),
        Column("version", Integer, nullable=False),
        Column("policy_version", Integer, nullable=False),
        *_attribute_columns(),
        Column("priority", SmallInteger, nullable=False),
        text_column("event_source"),
        text_column("event_id"),
        text_column("state"),
        time_column("since", null=True),
        time_column("until", null=True),
        time_column("expires_at"),
        Column("attempts", Integer, nullable=False),
        Column("handover_id", BigInteger, nullable=True),
        text_column("address_hash", null=True),
        text_column("to_address", null=True),
        text_column("locale", null=True),
        text_column("adapter", null=True),
        text_column("provider_id", null=True),
        text_column("detail", null=True),
        Column("maybe_sent", SmallInteger, nullable=False, server_default="0"),
        time_column("created"),
        time_column("updated"),
        Column("content", LargeBinary, nullable=True),
    ]


def _outbox() -> list[Column[Any]]:
    return [
        serial_column("seq"),
        Column("shard", SmallInteger, nullable=False),
        text_column("channel"),
        text_column("message_id"),
        text_column("customer"),
        text_column("adapter", null=True),
    ]


def _timer() -> list[Column[Any]]:
    return [
        Column("message_id", Text, primary_key=True),
        text_column("customer"),
        text_column("kind"),
        time_column("due"),
        time_column("claimed_until"),
        Column("claims", SmallInteger, nullable=False, server_default="0"),
    ]


def _parked() -> list[Column[Any]]:
    return [
        Column("message_id", Text, primary_key=True),
        Column("cause", Text, primary_key=True),
        Column("name", Text, primary_key=True),
        text_column("customer"),
    ]


def _facts_fence() -> list[Column[Any]]:
    return [
        Column("topic", Text, primary_key=True),
        Column("partition", Integer, primary_key=True),
        Column("position", BigInteger, nullable=False),
        Column("epoch", BigInteger, nullable=False),
    ]


TABLES: dict[str, Columns] = {
    "inbox": _inbox,
    "ledger": _ledger,
    "contact_history": _contact_history,
    "decision": _decision,
    "message": _message,
    "outbox": _outbox,
    "timer": _timer,
    "parked": _parked,
    "facts_fence": _facts_fence,
}

INDEXES: dict[str, tuple[str, tuple[str, ...]]] = {
    "inbox_event": ("inbox", ("event_id",)),
    "contact_history_customer": ("contact_history", ("customer", "seq")),
    "decision_customer": ("decision", ("customer", "decision_id")),
    "decision_time": ("decision", ("time", "message_id")),
    "message_customer": ("message", ("customer", "created")),
    "outbox_order": ("outbox", ("shard", "channel", "adapter", "seq")),
    "timer_due": ("timer", ("due",)),
    "parked_customer": ("parked", ("customer",)),
}

ROW_OPTIONS: dict[str, Any] = {"postgresql_with": {"fillfactor": 70, "toast_tuple_target": 8160}}
"""Rows that are updated in place leave room on their page, so that an update touches no index. A long ledger (more than
about 40 contacts) stays in its row: compressing it, or moving it elsewhere, at each change would cost twice as much.
"""
UPDATED_IN_PLACE = ("ledger",)

EVENT_INDEX: Final = (
    "CREATE UNIQUE INDEX decision_event ON decision (event_id, event_source, customer) WHERE event IS NOT NULL"
)
"""Made by step 0021, for new databases too. No event has two first decisions."""
WIDE_DECISIONS: Final = "ALTER TABLE decision SET (toast_tuple_target = 4080)"
"""For PostgreSQL: a decision with its event takes about two kilobytes, and compressing it takes longer than writing."""
STORED_EVENT_VIEW: Final = (
    "CREATE VIEW stored_event AS "
    "SELECT customer, source, event_id, type, time, received, topic, partition, log_offset, event FROM inbox "
    "UNION ALL SELECT customer, event_source, event_id, event_type, event_time, time, log_topic, log_partition, "
    "log_offset, event FROM decision WHERE event IS NOT NULL"
)
