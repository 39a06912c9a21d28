"""The channel `web_push`. Its addresses are subscriptions, as browsers give them to a web site."""

from typing import Final

from schemas.channel_registry import ChannelDeclaration
from services.orchestrator.delivery.channels.web_push.subscription import SUBSCRIPTION

DECLARATION: Final = ChannelDeclaration(
    id="web_push",
    order=45,
    label="Web push",
    short_label="Web",
    in_sentence="web push",
    icon="bell",
    address_kind=SUBSCRIPTION,
)
