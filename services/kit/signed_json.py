"""JSON documents that are signed as a whole: whoever has the public key can tell that not one byte was changed.

    {"content":{...},"signature":{"algorithm":"Ed25519","key":"<base64>","value":"<base64>"}}

The signature is over `content` as it stands there: keys sorted, no blanks, UTF-8. That is also the form of RFC 8785 for
what these documents hold: texts, whole numbers, lists and objects with names in ASCII. A document in any other spelling
is refused, so that a change that leaves the values as they are is one as well.
"""

import base64
import binascii
import hmac
import json
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

ALGORITHM: Final = "Ed25519"
_ENVELOPE: Final = frozenset({"content", "signature"})
_SIGNATURE: Final = frozenset({"algorithm", "key", "value"})


class NotGenuine(ValueError):
    """A document that is not as it was signed, or is not signed. The text says what is wrong."""


@dataclass(frozen=True, slots=True)
class SignedContent:
    """What a genuine document holds, and the public key by which it is genuine, in base64."""

    content: dict[str, Any]
    key: str


class DocumentSigner:
    """Signs documents with a key that is derived from a secret: every process that has the secret signs alike."""

    def __init__(self, secret: bytes, purpose: bytes) -> None:
        """`purpose`: what the key is for; another purpose makes another key of the same secret."""
        self._key = Ed25519PrivateKey.from_private_bytes(hmac.digest(secret, purpose, sha256))
        self.public_key = base64.b64encode(self._key.public_key().public_bytes_raw()).decode()

    def sign(self, content: dict[str, Any]) -> bytes:
        """The signed document."""
        value = base64.b64encode(self._key.sign(_canonical(content))).decode()
        signature = {"algorithm": ALGORITHM, "key": self.public_key, "value": value}
        return _canonical({"content": content, "signature": signature})


def verify_document(document: bytes, public_key: str | None = None) -> SignedContent:
    """What the document holds, if it is genuine. `public_key`: the key that must have signed it; without one, the key
    that the document names is returned, and the caller has to compare it. Raises NotGenuine.
    """
    content, signature = _read_envelope(document)
    key = signature["key"]
    if public_key is not None and not hmac.compare_digest(key.encode(), public_key.encode()):
        raise NotGenuine("another key has signed it than the one that was given")
    try:
        verifier = Ed25519PublicKey.from_public_bytes(_decode(key))
        verifier.verify(_decode(signature["value"]), _canonical(content))
    except (InvalidSignature, ValueError):
        raise NotGenuine("the signature does not fit the content: one of them was changed") from None
    return SignedContent(content, key)


def _read_envelope(document: bytes) -> tuple[dict[str, Any], dict[str, str]]:
    try:
        parsed = json.loads(document.decode())
        is_as_written = _canonical(parsed) == document
    except (ValueError, RecursionError):
        raise NotGenuine("it is no JSON in UTF-8") from None
    if not isinstance(parsed, dict) or parsed.keys() != _ENVELOPE:
        raise NotGenuine("it is no signed document: it must have `content` and `signature`, and nothing else")
    content, signature = parsed["content"], parsed["signature"]
    has_form = isinstance(signature, dict) and signature.keys() == _SIGNATURE
    if not isinstance(content, dict) or not has_form or not all(isinstance(each, str) for each in signature.values()):
        raise NotGenuine("it is no signed document: `content` or `signature` has another form")
    if signature["algorithm"] != ALGORITHM:
        raise NotGenuine(f"its signature is not of the kind {ALGORITHM}")
    if not is_as_written:
        raise NotGenuine("it is spelt in another way than it was signed: blanks, order or escapes were changed")
    return content, signature


def _decode(text: str) -> bytes:
    """Bytes in base64 in their one spelling. Raises ValueError for any other."""
    try:
        raw = base64.b64decode(text.encode("ascii"), validate=True)
    except (UnicodeEncodeError, binascii.Error) as error:
        raise ValueError("no base64") from error
    if base64.b64encode(raw).decode() != text:
        raise ValueError("no base64 in its one spelling")
    return raw


def _canonical(value: Any) -> bytes:
    """Raises ValueError for what JSON has no form for, such as half of a surrogate pair."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()
