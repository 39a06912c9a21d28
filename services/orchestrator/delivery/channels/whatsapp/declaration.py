"""The channel `whatsapp`."""

from typing import Final

from schemas.address_kinds import PHONE
from schemas.channel_registry import ChannelDeclaration, ReplyWindow
from services.orchestrator.delivery.channels.whatsapp.numbers import number_spellings

DECLARATION: Final = ChannelDeclaration(
    id="whatsapp",
    order=50,
    label="WhatsApp",
    in_sentence="WhatsApp",
    icon="message",
    preview="bubble",
    address_kind=PHONE,
    has_replies=True,
    stops_everything=True,
    reply_window=ReplyWindow(hours=24, free_without="template", remedy="use an approved template"),
    sender_spellings=number_spellings,
)
