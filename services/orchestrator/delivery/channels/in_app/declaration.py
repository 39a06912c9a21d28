"""The channel `in_app`. Its messages interrupt nobody, so they need no address and count only in caps that name it."""

from typing import Final

from schemas.address_kinds import NO_ADDRESS
from schemas.channel_registry import ChannelDeclaration

DECLARATION: Final = ChannelDeclaration(
    id="in_app",
    order=40,
    label="In the app",
    short_label="App",
    in_sentence="the app",
    icon="broadcast",
    address_kind=NO_ADDRESS,
    counts_in_general_caps=False,
)
