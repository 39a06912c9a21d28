"""What customers answer: kept with the receipts, and found by the address that the last message went to.

A new database has the columns already: step 0023 creates the table as it is defined today.
"""

from alembic import op
from sqlalchemy import inspect

from services.orchestrator.delivery.receipts.tables import reply_columns

revision = "0026"
down_revision = "0025"


def upgrade() -> None:
    known = {column["name"] for column in inspect(op.get_bind()).get_columns("receipt")}
    for column in reply_columns():
        if column.name not in known:
            op.add_column("receipt", column)
    op.execute("CREATE INDEX message_sms_address ON message (to_address, created) WHERE channel = 'sms'")
