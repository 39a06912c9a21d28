"""The channel `email`."""

from typing import Final

from schemas.address_kinds import EMAIL
from schemas.channel_registry import ChannelDeclaration

DECLARATION: Final = ChannelDeclaration(
    id="email",
    order=10,
    label="E-mail",
    in_sentence="e-mail",
    icon="mail",
    preview="page",
    render_errors=("bad_mjml", "bad_style", "too_deep", "no_unsubscribe", "bad_attachment"),
    address_kind=EMAIL,
    shows_sender=True,
    tracks_links=True,
)
