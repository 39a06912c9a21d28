"""The channel `social`. Its posts go where the settings of an adapter say, so they need no address.

They count in all caps of their subject, as contacts that other tools report under this name always have.
"""

from typing import Final

from schemas.address_kinds import NO_ADDRESS
from schemas.channel_registry import ChannelDeclaration

DECLARATION: Final = ChannelDeclaration(
    id="social",
    order=55,
    label="Community post",
    short_label="Post",
    in_sentence="a community post",
    icon="broadcast",
    preview="post",
    stage="community",
    address_kind=NO_ADDRESS,
    render_errors=("customer_data",),
)
