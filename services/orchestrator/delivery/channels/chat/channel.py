"""Chat: a message to one customer in Slack, Discord, Teams, Telegram or the like."""

from typing import Final

from services.orchestrator.delivery.channels.chat_content import ChatContentChannel, ChatFields

MAX_TEXT: Final = 2000

CHANNEL: Final = ChatContentChannel(
    id="chat",
    sample_address="slack:C024BE91L",
    fields=ChatFields,
    max_text=MAX_TEXT,
    sample_content={"text": "{{ customer.id }}"},
)
