"""Replies on WhatsApp are found by the address that the last message went to, as those of texts are."""

from alembic import op

revision = "0030"
down_revision = "0029"


def upgrade() -> None:
    op.execute("CREATE INDEX message_whatsapp_address ON message (to_address, created) WHERE channel = 'whatsapp'")
