"""What is handed over together has one row, `handover`, in place of an attempt in each message. Its views: 0021.

Attempts of earlier versions become handovers of all that was claimed, and ended, at the same instants.
"""

from alembic import op
from sqlalchemy import BigInteger, Column, inspect

from services.orchestrator.delivery.tables import HANDOVER_TABLES, OPEN_HANDOVERS_INDEX

revision = "0020"
down_revision = "0019"

_DROPPED = ("owner", "claimed_at", "opened", "closed_at")
_HAS_ATTEMPT = "state IN ('handing_over', 'accepted') AND owner IS NOT NULL AND attempts > 0"
_SAME = (
    "m.channel = h.channel AND m.owner = h.owner AND m.claimed_at = h.claimed_at AND m.opened = h.opened "
    "AND coalesce(m.closed_at, -1) = coalesce(h.closed_at, -1) AND coalesce(m.adapter, '') = coalesce(h.adapter, '')"
)


def upgrade() -> None:
    for name, columns in HANDOVER_TABLES.items():
        op.create_table(name, *columns())
    dialect = op.get_bind().dialect.name
    if "owner" in {column["name"] for column in inspect(op.get_bind()).get_columns("message")}:
        op.add_column("message", Column("handover_id", BigInteger))
        _carry_over("string_agg('\"' || message_id || '\"', ',')" if dialect == "postgresql" else
                    "group_concat('\"' || message_id || '\"', ',')")  # fmt: skip
    op.execute("DROP INDEX IF EXISTS message_in_flight")
    op.execute(OPEN_HANDOVERS_INDEX)


def _carry_over(ids: str) -> None:
    op.execute(
        "INSERT INTO handover (channel, owner, claimed_at, opened, messages, closed_at, adapter) "
        "SELECT channel, owner, claimed_at, opened, "
        f"CASE WHEN closed_at IS NULL THEN '[' || {ids} || ']' ELSE '[]' END, closed_at, adapter FROM message "
        f"WHERE {_HAS_ATTEMPT} GROUP BY channel, owner, claimed_at, opened, closed_at, adapter"
    )
    op.execute("CREATE INDEX handover_carried ON handover (claimed_at, owner)")
    op.execute(
        f"UPDATE message SET handover_id = (SELECT max(h.handover_id) FROM handover h "
        f"WHERE {_SAME.replace('m.', 'message.')}) WHERE {_HAS_ATTEMPT}"
    )
    op.execute("DROP INDEX handover_carried")
    for name in _DROPPED:
        op.drop_column("message", name)
