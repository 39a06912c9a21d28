"""Tables of delivery: attempts that were not accepted, and leases of outbox shards.

`attempt` is append-only and holds attempts that ended in any other way than accepted. The last attempt of a message is
in its row of `message`.
"""

from typing import Any

from sqlalchemy import BigInteger, Column, Integer, SmallInteger

from services.kit.db.bytewise_text import Text
from services.orchestrator.decisions.tables import Columns, serial_column, text_column, time_column


def _attempt() -> list[Column[Any]]:
    return [
        serial_column("attempt_id"),
        text_column("message_id"),
        text_column("customer"),
        Column("number", Integer, nullable=False),
        text_column("owner"),
        time_column("claimed_at"),
        time_column("opened"),
        text_column("outcome"),
        text_column("detail", null=True),
        time_column("closed_at"),
    ]


def _shard_lease() -> list[Column[Any]]:
    return [
        Column("shard", SmallInteger, primary_key=True, autoincrement=False),
        Column("epoch", BigInteger, nullable=False),
        text_column("owner"),
        time_column("expires"),
    ]


def _dispatcher() -> list[Column[Any]]:
    return [Column("owner", Text, primary_key=True), time_column("expires")]


TABLES: dict[str, Columns] = {
    "attempt": _attempt,
    "shard_lease": _shard_lease,
    "dispatcher": _dispatcher,
}

INDEXES: dict[str, tuple[str, tuple[str, ...]]] = {
    "attempt_message": ("attempt", ("message_id", "number")),
}
