"""The channel `social`. Its posts go where the settings of an adapter say, so they need no address; they reach no
customer in person, so caps that do not name them do not count them.
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
    counts_in_general_caps=False,
    render_errors=("customer_data",),
)
