"""Proof of consent: texts by their hash, requests that wait to be confirmed, and from where changes came."""

from alembic import op

from services.preference.tables import consent_request_columns, origin_columns, wording_columns

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.create_table("consent_wording", *wording_columns())
    op.create_table("consent_request", *consent_request_columns())
    op.create_index("consent_request_customer", "consent_request", ["customer"])
    op.create_index("consent_request_published", "consent_request", ["published", "requested"])
    op.create_index("consent_request_expires", "consent_request", ["expires"])
    for column in origin_columns():
        op.add_column("preference_change", column)
