"""The channel `email`."""

from typing import Final

from schemas.channel_registry import ChannelDeclaration


def _without_case(address: str) -> str:
    """Lower-cases the address. Mail servers may distinguish case in local parts, but none in practical use does."""
    return address.strip().lower()


DECLARATION: Final = ChannelDeclaration(
    id="email",
    order=10,
    label="E-mail",
    in_sentence="e-mail",
    icon="mail",
    preview="page",
    render_errors=("bad_mjml", "bad_style", "too_deep", "no_unsubscribe"),
    comparable_address=_without_case,
)
