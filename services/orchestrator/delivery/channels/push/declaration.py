"""The channel `push`."""

from typing import Final

from schemas.address_kinds import TOKEN
from schemas.channel_registry import ChannelDeclaration

DECLARATION: Final = ChannelDeclaration(
    id="push", order=30, label="Push", in_sentence="push", icon="bell", address_kind=TOKEN
)
