"""The tokens in links of our own: which message a link is of and where it leads, sealed.

`marketing.3q2-7w...`: the class of the message, for people and filters to read, and what only this installation can
read or make: AES-SIV (RFC 5297), by which the same content gives the same token and nothing can be changed unseen. The
target is in the token, so that a link leads there while no database answers; nothing but a target that was sealed here
is ever redirected to.
"""

import base64
import binascii
import hmac
from collections.abc import Sequence
from typing import Final, Literal

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from schemas.times import DAY, Instant
from schemas.vocabulary import Class

LinkKind = Literal["l", "o"]
"""l: a link that is followed. o: a picture that shows that the message was opened. Also the first part of the path."""
MAX_TARGET: Final = 1000
"""Characters of a target: with the longest base, a link stays below 2,000, which every mail program opens."""
MAX_TOKEN: Final = 1700
_KEY_LABEL: Final = b"tactful message links v1"
_SEPARATOR: Final = "."


class SealedLink(msgspec.Struct, frozen=True, array_like=True):
    """What a token holds. `last_day`: the last day on which it works, in days since 1970. `number`: which link of the
    message, from 1; 0 for the picture. `target`: None for the picture.
    """

    message_id: str
    last_day: int
    number: int = 0
    target: str | None = None


_DECODER: Final = msgspec.msgpack.Decoder(SealedLink)


class LinkSealer:
    """Makes tokens with the first of its keys, and reads those of each."""

    def __init__(self, keys: Sequence[str]) -> None:
        self._ciphers = [AESSIV(hmac.digest(key.encode(), _KEY_LABEL, "sha512")) for key in keys]

    def seal(self, kind: LinkKind, cls: str, link: SealedLink) -> str:
        """The token as a part of a URL."""
        sealed = self._ciphers[0].encrypt(msgspec.msgpack.encode(link), _bound_to(kind, cls))
        return f"{cls}{_SEPARATOR}{_encode(sealed)}"

    def unseal(self, kind: LinkKind, token: str, now: Instant) -> SealedLink | None:
        """What a token holds; None for one that was not made here, is of another kind, or works no longer."""
        cls, _, text = token.partition(_SEPARATOR)
        if len(token) > MAX_TOKEN or cls not in set(Class) or (sealed := _decode_token(text)) is None:
            return None
        for cipher in self._ciphers:
            try:
                link = _DECODER.decode(cipher.decrypt(sealed, _bound_to(kind, cls)))
            except (InvalidTag, msgspec.MsgspecError):
                continue
            return link if now // DAY <= link.last_day else None
        return None


def _bound_to(kind: LinkKind, cls: str) -> list[bytes]:
    """What a token is good for: one of a picture is none of a link, and its class cannot be changed."""
    return [kind.encode(), cls.encode()]


def _encode(sealed: bytes) -> str:
    return base64.urlsafe_b64encode(sealed).rstrip(b"=").decode()


def _decode_token(text: str) -> bytes | None:
    """The bytes of a text in the one spelling that `_encode` gives them; the last character could be another."""
    try:
        sealed = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    return sealed if len(sealed) > 16 and _encode(sealed) == text else None
