"""The channels on which other tools may have contacted a customer: those of Tactful, and those of the wide world.

Reported contacts on the latter count in every cap, gap and history rule whose scope names no channel, and in one whose
scope names theirs. Tactful itself sends nothing on them.
"""

from typing import Final

from schemas.vocabulary import CHANNELS

WORLD_CHANNELS: Final = ("phone", "letter", "visit", "chat", "whatsapp", "messenger", "social", "video", "fax", "other")
CONTACT_CHANNELS: Final = tuple(dict.fromkeys((*CHANNELS, *WORLD_CHANNELS)))
"""Every channel of a contact; closed. `other` is for what none of them is."""

_OTHER_NAMES: Final = {
    **dict.fromkeys(("call", "phone_call", "voice", "telephone"), "phone"),
    **dict.fromkeys(("post", "postal", "postal_mail", "direct_mail"), "letter"),
    **dict.fromkeys(("meeting", "in_person", "store"), "visit"),
    **dict.fromkeys(("live_chat", "webchat", "web_chat"), "chat"),
}


def find_contact_channel(word: str) -> str | None:
    """The channel that a word names, in any case and with `-`, `_` or a space; None for a word that names none."""
    name = word.strip().lower().replace("-", "_").replace(" ", "_")
    name = _OTHER_NAMES.get(name, name)
    return name if name in CONTACT_CHANNELS else None
