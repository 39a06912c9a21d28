"""The kind of address of the channel `chat`: a destination, `<adapter>:<place>`, such as `slack:C024BE91L`.

What stands before the colon is the adapter that reaches it, by the id of its kind or by the name of an account. What
stands behind it is a name that the program has for a chat, or the name of a webhook in the settings. A URL of a webhook
is none: whoever knows it can post there, so it is kept with the operator's secrets (docs/decisions/0047).
"""

import re
from typing import Final

from schemas.address_kinds import AddressKind, BadAddress, refuse_control_characters

_DESTINATION: Final = re.compile(r"([A-Za-z][A-Za-z0-9_]{0,39}) *: *([!-~]{1,200})")
_REMEDY: Final = "give the adapter and what it calls the chat, such as slack:C024BE91L or telegram:123456789"


def _canonical_destination(text: str, _region: str | None) -> str:
    """The adapter in small letters, and the place as it is."""
    refuse_control_characters(text)
    found = _DESTINATION.fullmatch(text.strip(" "))
    if found is None:
        raise BadAddress("bad_destination", "not a destination of a chat", _REMEDY)
    adapter, place = found.groups()
    if place.startswith("//"):
        remedy = "keep it in the settings of the adapter and give its name, such as teams:support"
        raise BadAddress("webhook_url", "a URL, which may be a secret", remedy)
    return f"{adapter.lower()}:{place}"


DESTINATION: Final = AddressKind(name="chat destination", canonicalise=_canonical_destination)
