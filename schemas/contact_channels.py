"""The channels on which other tools may have contacted a customer: those of Tactful, and those of the wide world.

Reported contacts on the latter count in every cap, gap and history rule whose scope names no channel, and in one whose
scope names theirs. Tactful itself sends on few of them: a channel of the same name is then the same channel.
"""

from typing import Final

from schemas.vocabulary import CHANNELS

WORLD_CHANNELS: Final = ("phone", "letter", "visit", "chat", "messenger", "social", "video", "fax", "other")
CONTACT_CHANNELS: Final = tuple(dict.fromkeys((*CHANNELS, *WORLD_CHANNELS)))
"""Every channel of a contact; closed. `other` is for what none of them is."""

_SEPARATORS: Final = str.maketrans("", "", "-_ ")
_OTHER_NAMES: Final = {
    **{channel.translate(_SEPARATORS): channel for channel in CONTACT_CHANNELS},
    **dict.fromkeys(("call", "phonecall", "voice", "voicecall", "telephone"), "phone"),
    **dict.fromkeys(("post", "postal", "postalmail", "directmail", "postcard"), "letter"),
    **dict.fromkeys(("meeting", "inperson", "store"), "visit"),
    **dict.fromkeys(("livechat", "webchat"), "chat"),
    **dict.fromkeys(("videocall", "videochat"), "video"),
}
"""What other programs call the channels, in small letters and without separators."""


def find_contact_channel(word: str) -> str | None:
    """The channel that a word names, in any case and with any of `-`, `_` and spaces; None if it names none."""
    return _OTHER_NAMES.get(word.lower().translate(_SEPARATORS))
