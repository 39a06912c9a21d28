"""The channel `sms`."""

from typing import Final

from schemas.address_kinds import PHONE
from schemas.channel_registry import ChannelDeclaration

DECLARATION: Final = ChannelDeclaration(
    id="sms", order=20, label="SMS", in_sentence="SMS", icon="message", preview="bubble", address_kind=PHONE
)
