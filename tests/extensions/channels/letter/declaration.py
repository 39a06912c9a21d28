"""Declaration of the channel `letter`."""

from typing import Final

from schemas.channel_registry import ChannelDeclaration


def _on_one_line(address: str) -> str:
    return " ".join(address.split()).lower()


DECLARATION: Final = ChannelDeclaration(
    id="letter",
    order=50,
    label="Letter",
    in_sentence="letter",
    icon="mail",
    preview="bubble",
    comparable_address=_on_one_line,
)
