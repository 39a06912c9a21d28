"""How networks send a text: in the GSM alphabet if it has all the characters, else as UCS-2; a long one in parts.

A part holds 140 bytes: 160 septets of GSM 03.38, or 70 code units of UTF-16. Of each part of a longer text the first 6
bytes say which one it is, so that 153 septets or 67 units are left. A character of the extension table takes two
septets, and one outside the Basic Multilingual Plane two units; neither pair is split.
"""

from typing import Final, NamedTuple

from gsm0338 import Codec

GSM: Final = "gsm-7"
UCS2: Final = "ucs-2"
PART_SIZES: Final = {GSM: (160, 153), UCS2: (70, 67)}
"""Alphabet -> septets or code units of a text in one part, and of each part of a longer one."""


class SmsParts(NamedTuple):
    """A text as it is sent."""

    encoding: str
    """GSM or UCS2."""
    texts: tuple[str, ...]
    """The text of each part."""
    outside: str
    """The characters that the GSM alphabet does not have, each once."""


def _alphabet(prefix: bytes) -> frozenset[str]:
    decode = Codec().decode
    return frozenset(decode(prefix + bytes([code]), "ignore")[0] for code in range(128) if code != 0x1B) - {""}


_GSM_BASIC: Final = _alphabet(b"")
_GSM_EXTENSION: Final = _alphabet(b"\x1b") - _GSM_BASIC


def split_sms(text: str) -> SmsParts:
    """Splits a text into its parts. Space and time are linear in its length."""
    outside = "".join(dict.fromkeys(each for each in text if each not in _GSM_BASIC and each not in _GSM_EXTENSION))
    if outside:
        return SmsParts(UCS2, _split_by_size(text, [1 + (ord(each) > 0xFFFF) for each in text], UCS2), outside)
    return SmsParts(GSM, _split_by_size(text, [1 + (each in _GSM_EXTENSION) for each in text], GSM), "")


def _split_by_size(text: str, sizes: list[int], encoding: str) -> tuple[str, ...]:
    whole, part = PART_SIZES[encoding]
    if sum(sizes) <= whole:
        return (text,)
    parts, start, used = [], 0, 0
    for position, size in enumerate(sizes):
        if used + size > part:
            parts.append(text[start:position])
            start, used = position, 0
        used += size
    return (*parts, text[start:])


def count_in_words(count: int) -> str:
    """A number of parts, such as `1 part`."""
    return "1 part" if count == 1 else f"{count} parts"
