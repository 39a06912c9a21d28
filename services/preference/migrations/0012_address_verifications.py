"""Addresses that are to be verified by a message, and the report about addresses."""

from alembic import op

from services.preference.tables import report_columns, report_example_columns, verification_columns

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    op.create_table("address_verification", *verification_columns())
    op.create_index("address_verification_customer", "address_verification", ["customer", "requested"])
    op.create_index("address_verification_published", "address_verification", ["published", "requested"])
    op.create_index("address_verification_expires", "address_verification", ["expires"])
    op.create_table("address_report", *report_columns())
    op.create_table("address_report_example", *report_example_columns())
    op.create_index("address_report_example_customer", "address_report_example", ["customer"])
