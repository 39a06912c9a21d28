"""Addresses and subjects that name a message and prove that we made them: the return path of a mail (VERP), and the
subject of a mail by which somebody unsubscribes.

Whoever gets the mail can read them. So they can say something about this one message of theirs, and about no other.
"""

import base64
import hmac
import re
from collections.abc import Iterable
from itertools import islice
from typing import Final, Literal

Purpose = Literal["bounce", "unsubscribe"]
"""A token for one purpose is none for another."""
MAX_LOCAL: Final = 10
"""Characters before the + of a return path: with the longest token they are the 64 that may stand before an @."""
SIGNED_HEADER: Final = "X-Tactful-Token"
"""The token of the return path again: reports of abuse quote headers, but not always the return path."""
_MAX_ID: Final = 36
_MAX_CANDIDATES: Final = 200
_TOKEN: Final = re.compile(r"(?<![a-z0-9_-])([a-z0-9_-]{1,36})[.]([a-z2-7]{16})(?![a-z2-7])", re.ASCII | re.IGNORECASE)


def sign_id(secret: str, purpose: Purpose, message_id: str) -> str | None:
    """A token of small letters, digits, `_`, `-` and `.`, as servers may change the case of letters. None for an id
    that would not survive that, or is too long.
    """
    if len(message_id) > _MAX_ID or message_id != message_id.lower():
        return None
    return f"{message_id}.{_signature(secret, purpose, message_id)}"


def find_signed_id(secret: str, purpose: Purpose, texts: Iterable[str]) -> str | None:
    """The id of the message that the first token with a right signature names."""
    candidates = (found for text in texts for found in _TOKEN.finditer(text))
    for found in islice(candidates, _MAX_CANDIDATES):
        message_id, given = found[1].lower(), found[2].lower()
        if hmac.compare_digest(_signature(secret, purpose, message_id), given):
            return message_id
    return None


def sign_return_path(secret: str, return_path: str, message_id: str) -> str:
    """The return path with a token behind a +; without one where the id does not fit."""
    token = sign_id(secret, "bounce", message_id)
    local, _, domain = return_path.rpartition("@")
    return return_path if token is None else f"{local}+{token}@{domain}"


def _signature(secret: str, purpose: Purpose, message_id: str) -> str:
    digest = hmac.digest(secret.encode(), f"tactful {purpose}\0{message_id}".encode(), "sha256")
    return base64.b32encode(digest[:10]).decode().lower()
