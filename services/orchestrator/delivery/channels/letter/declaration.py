"""Declaration of the channel `letter`."""

import re
from typing import Final

from schemas.address_kinds import AddressKind, BadAddress, refuse_control_characters
from schemas.channel_registry import ChannelDeclaration

MAX_LINES: Final = 6
"""As many as the address field of DIN 5008 has."""
MAX_LINE: Final = 60
_BETWEEN_LINES: Final = re.compile(r"[\r\n,;]+")
_LETTER: Final = re.compile(r"[^\W\d_]")


def _canonical_lines(address: str, _region: str | None) -> str:
    """The lines of a postal address, the addressee's name first, joined by commas, without blanks around them."""
    lines = [" ".join(line.split()) for line in _BETWEEN_LINES.split(address) if line.strip()]
    refuse_control_characters("".join(lines))
    if not 2 <= len(lines) <= MAX_LINES or max(map(len, lines)) > MAX_LINE or not all(map(_LETTER.search, lines[:1])):
        remedy = f"give 2 to {MAX_LINES} lines of at most {MAX_LINE} characters, the name first"
        raise BadAddress("not_a_postal_address", "not a postal address", remedy)
    return ", ".join(lines)


POSTAL: Final = AddressKind(
    name="postal address",
    canonicalise=_canonical_lines,
    ignores_case=True,
    shorten=lambda canonical: canonical.rpartition(", ")[2],  # the town, beside the name that is shown anyhow
)

DECLARATION: Final = ChannelDeclaration(
    id="letter",
    order=70,
    label="Letter",
    in_sentence="letter",
    icon="mail",
    preview="page",
    render_errors=("unprintable", "unsupported_element", "too_many_pages", "unknown_format"),
    address_kind=POSTAL,
    shows_sender=True,
    has_document=True,
)
