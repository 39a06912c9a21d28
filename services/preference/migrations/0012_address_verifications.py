"""Addresses that are to be verified by a message."""

from alembic import op

from services.preference.tables import verification_columns

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    op.create_table("address_verification", *verification_columns())
    op.create_index("address_verification_customer", "address_verification", ["customer", "requested"])
    op.create_index("address_verification_published", "address_verification", ["published", "requested"])
    op.create_index("address_verification_expires", "address_verification", ["expires"])
