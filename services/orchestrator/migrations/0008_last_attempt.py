"""A message carries its last attempt, and a contact counts as made from the claim on.

A database that was made by earlier steps is converted in place; a new one has these tables already.
"""

from alembic import op
from sqlalchemy import BigInteger, Column, inspect, text

from services.kit.db.bytewise_text import Text

revision = "0008"
down_revision = "0007"

_ADDED = {"owner": Text, "marked_at": BigInteger, "opened": BigInteger, "closed_at": BigInteger, "address_hash": Text}
_DROPPED = ("channel", "cls", "intent", "topic", "campaign", "address_hash", "state")
_LAST = "SELECT a.{0} FROM attempt a WHERE a.message_id = message.message_id ORDER BY a.number DESC LIMIT 1"
_STATES = (0, 1, 1, 2)
"""Planned, handing over, made, unknown: from their numbers on a ledger of form 1 to those of form 2."""


def upgrade() -> None:
    if "state" in {column["name"] for column in inspect(op.get_bind()).get_columns("attempt")}:
        _carry_over()
    op.execute("CREATE INDEX message_in_flight ON message (customer) WHERE state = 'handing_over'")


def _carry_over() -> None:
    for name, kind in _ADDED.items():
        op.add_column("message", Column(name, kind))
    values = ", ".join(f"{name} = ({_LAST.format(name)})" for name in _ADDED)
    op.execute(f"UPDATE message SET {values} WHERE attempts > 0")
    op.execute("DELETE FROM attempt WHERE state = 'open' OR outcome = 'accepted'")
    op.execute("DROP INDEX IF EXISTS attempt_open")
    for name in _DROPPED:
        op.drop_column("attempt", name)
    op.execute("UPDATE contact_history SET state = 'made' WHERE state = 'handing_over'")
    op.alter_column("audit_cursor", "attempt_id", new_column_name="seq")
    op.execute("UPDATE audit_cursor SET seq = coalesce((SELECT max(seq) FROM contact_history), 0)")
    _rewrite_ledgers()


def _rewrite_ledgers() -> None:
    connection = op.get_bind()
    for row in connection.execute(text("SELECT customer, ring FROM ledger")).all():
        change = text("UPDATE ledger SET ring = :ring WHERE customer = :customer")
        connection.execute(change, {"customer": row.customer, "ring": _rewritten(bytes(row.ring))})


def _rewritten(ring: bytes) -> bytes:
    """A head of 13 bytes (the form, an instant, the length of the table), the table, rows of 44 bytes; flags last."""
    written = bytearray(ring)
    if written[0] == 1:
        written[0] = 2
        for place in range(13 + int.from_bytes(ring[9:13], "little") + 43, len(ring), 44):
            written[place] = _STATES[ring[place] & 3] | ring[place] & 4
    return bytes(written)
