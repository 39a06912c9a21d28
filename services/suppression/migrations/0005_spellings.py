"""Marks the hashes of addresses that may be those of a spelling, as earlier versions hashed what was given.

Of an e-mail address in ASCII, and of a token, that is the canonical form anyway. Plain addresses are not stored, so the
others are found by being asked for in other spellings (`CustomerAddressHashes.spellings`).
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.add_column("address_entry", sa.Column("as_spelt", sa.Integer, nullable=False, server_default="1"))
    is_ascii = {
        "postgresql": "length(masked) = octet_length(masked)",
        "sqlite": "length(masked) = length(CAST(masked AS BLOB))",
    }[op.get_bind().dialect.name]
    op.execute(
        "UPDATE address_entry SET as_spelt = 0 WHERE channel IN ('push', 'in_app') OR id IN "
        f"(SELECT id FROM suppression_entry WHERE masked LIKE '%@%' AND {is_ascii})"
    )
    op.create_index(
        "address_entry_as_spelt",
        "address_entry",
        ["hash"],
        sqlite_where=sa.text("as_spelt = 1"),
        postgresql_where=sa.text("as_spelt = 1"),
    )
