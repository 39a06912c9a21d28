"""Keys by which customers are found: see services/preference/customer_lookup.py. A job of the service fills them."""

from alembic import op

from services.preference.tables import lookup_columns

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.create_table("customer_lookup", *lookup_columns())
    op.create_index("customer_lookup_customer", "customer_lookup", ["customer"])
