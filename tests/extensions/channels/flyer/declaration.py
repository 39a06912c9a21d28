"""Declaration of the channel `flyer`."""

from typing import Final

from schemas.address_kinds import AddressKind, BadAddress, refuse_control_characters
from schemas.channel_registry import ChannelDeclaration


def _canonical_lines(address: str, _region: str | None) -> str:
    """The lines of a postal address joined by commas, without blanks around them."""
    lines = [" ".join(line.split()) for line in ",".join(address.splitlines()).split(",") if line.strip()]
    refuse_control_characters("".join(lines))
    if len(lines) < 2:
        raise BadAddress("not_a_postal_address", "not a postal address", "give two lines or more")
    return ", ".join(lines)


POSTAL: Final = AddressKind(name="postal address", canonicalise=_canonical_lines, ignores_case=True)

DECLARATION: Final = ChannelDeclaration(
    id="flyer",
    order=90,
    label="Flyer",
    in_sentence="flyer",
    icon="mail",
    preview="bubble",
    address_kind=POSTAL,
)
