"""The channel `chat`. Its addresses are destinations, such as `telegram:123456789`."""

from typing import Final

from schemas.channel_registry import ChannelDeclaration
from services.orchestrator.delivery.channels.chat.destination import DESTINATION

DECLARATION: Final = ChannelDeclaration(
    id="chat",
    order=50,
    label="Chat",
    in_sentence="chat",
    icon="message",
    preview="post",
    address_kind=DESTINATION,
)
