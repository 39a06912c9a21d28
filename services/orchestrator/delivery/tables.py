"""Tables of delivery: handovers, attempts that were not accepted, and leases of outbox shards.

`handover` has one row for all messages that one process claimed together on one channel. It is written with the claims
and closed once, with what the provider said about those that it accepted. A message that is `handing_over` in a closed
handover was accepted: its own row is not written again. The view `tracked_message` says so; `open_attempt` has the
messages of handovers that are not closed. `attempt` is append-only and holds attempts that ended in any other way.
"""

from typing import Any, Final

from sqlalchemy import BigInteger, Column, Integer, SmallInteger

from services.kit.db.bytewise_text import Text
from services.kit.db.database import Dialect
from services.orchestrator.decisions.tables import Columns, serial_column, text_column, time_column


def _handover() -> list[Column[Any]]:
    """`messages`: the ids as a JSON array. `results`: of accepted messages `{id: [provider id, detail]}`, as JSON,
    without those of which there is nothing to say.
    """
    return [
        serial_column("handover_id"),
        text_column("channel"),
        text_column("owner"),
        time_column("claimed_at"),
        time_column("opened"),
        text_column("messages"),
        time_column("closed_at", null=True),
        text_column("adapter", null=True),
        text_column("results", null=True),
    ]


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


def _adapter_pace() -> list[Column[Any]]:
    """`free_at`: when the next message of an adapter with a rate may go, in the database's time."""
    return [Column("adapter", Text, primary_key=True), time_column("free_at")]


TABLES: dict[str, Columns] = {
    "attempt": _attempt,
    "shard_lease": _shard_lease,
    "dispatcher": _dispatcher,
}

INDEXES: dict[str, tuple[str, tuple[str, ...]]] = {
    "attempt_message": ("attempt", ("message_id", "number")),
}

HANDOVER_TABLES: dict[str, Columns] = {"handover": _handover}
"""Made by step 0020, for new databases too."""
OPEN_HANDOVERS_INDEX: Final = "CREATE INDEX handover_open ON handover (opened) WHERE closed_at IS NULL"


def _adapter_trouble() -> list[Column[Any]]:
    """What a process has seen of an adapter that gets nothing, or less, from it. `until`: when it is tried again."""
    return [
        Column("adapter", Text, primary_key=True),
        Column("owner", Text, primary_key=True),
        text_column("circuit"),
        text_column("cause"),
        time_column("until"),
        time_column("noted"),
    ]


ADAPTER_TABLES: dict[str, Columns] = {"adapter_pace": _adapter_pace, "adapter_trouble": _adapter_trouble}
"""Made by step 0025, for new databases too."""

_SAME: Final = (
    *("message_id", "customer", "campaign", "version", "policy_version", "channel", "cls", "intent", "topic"),
    *("priority", "event_source", "event_id", "since", "expires_at", "attempts", "handover_id", "address_hash"),
    *("to_address", "locale", "created", "content"),
)
_ACCEPTED: Final = "'accepted'"
_RESULT: Final[dict[Dialect, str]] = {
    "postgresql": "h.results::json -> m.message_id ->> {0}",
    "sqlite": "json_extract(h.results, '$.\"' || m.message_id || '\"[{0}]')",
}
_MEMBERS: Final[dict[Dialect, str]] = {
    "postgresql": "CROSS JOIN LATERAL json_array_elements_text(h.messages::json) AS e(value)",
    "sqlite": "CROSS JOIN json_each(h.messages) AS e",
}


def view_statements(dialect: Dialect) -> list[str]:
    """The statements that make the views."""
    accepted = "m.state = 'handing_over' AND h.closed_at IS NOT NULL"

    def when_accepted(column: str, value: str) -> str:
        return f"CASE WHEN {accepted} THEN {value} ELSE m.{column} END AS {column}"

    own = ", ".join(f"m.{name}" for name in _SAME)
    tracked = (
        f"CREATE VIEW tracked_message AS SELECT {own}, {when_accepted('state', _ACCEPTED)}, "
        f"{when_accepted('until', 'NULL')}, {when_accepted('maybe_sent', '0')}, "
        f"{when_accepted('adapter', 'h.adapter')}, "
        f"{when_accepted('provider_id', _RESULT[dialect].format(0))}, "
        f"{when_accepted('detail', _RESULT[dialect].format(1))}, {when_accepted('updated', 'h.closed_at')}, "
        "h.owner, h.claimed_at, h.opened, h.closed_at "
        "FROM message m LEFT JOIN handover h ON h.handover_id = m.handover_id"
    )
    open_attempt = (
        f"CREATE VIEW open_attempt AS SELECT {own}, h.owner, h.claimed_at, h.opened "
        f"FROM handover h {_MEMBERS[dialect]} JOIN message m ON m.message_id = e.value "
        "WHERE h.closed_at IS NULL AND m.handover_id = h.handover_id AND m.state = 'handing_over'"
    )
    return [tracked, open_attempt]
