"""VAPID (RFC 8292): a token for each push service that says who sends, signed with the key of the subscriptions."""

from typing import Final
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric import ec

from schemas.times import SECOND
from services.kit.runtime.clock import Clock
from services.orchestrator.delivery.adapters.signed_token import (
    decode_base64url,
    encode_base64url,
    read_p256_key,
    sign_token,
)
from services.orchestrator.delivery.adapters.webpush.encryption import encode_point

VALID_SECONDS: Final = 12 * 60 * 60
"""How long a token is valid; push services take a day at most."""
RENEWED_AFTER: Final = 6 * 60 * 60
MAX_ORIGINS: Final = 1000
"""Tokens that are kept: customers may name any number of hosts."""


class Vapid:
    """The header Authorization for each push service."""

    def __init__(self, key: ec.EllipticCurvePrivateKey, subject: str, clock: Clock) -> None:
        self._key, self._subject, self._clock = key, subject, clock
        self.public_key = encode_base64url(encode_point(key))
        """What a web site passes to `subscribe` as `applicationServerKey`."""
        self._headers: dict[str, tuple[int, str]] = {}

    def header_for(self, endpoint: str) -> str:
        """The header for an endpoint. Nobody can use it at another push service."""
        parts = urlsplit(endpoint)
        origin, seconds = f"{parts.scheme}://{parts.netloc}", self._clock.now() // SECOND
        renew_at, header = self._headers.get(origin, (0, ""))
        if seconds < renew_at:
            return header
        if len(self._headers) >= MAX_ORIGINS:
            self._headers.clear()
        claims = {"aud": origin, "exp": seconds + VALID_SECONDS, "sub": self._subject}
        header = f"vapid t={sign_token(self._key, claims)}, k={self.public_key}"
        self._headers[origin] = (seconds + RENEWED_AFTER, header)
        return header


def read_vapid_key(text: str) -> ec.EllipticCurvePrivateKey:
    """A private key as PEM, or as 32 bytes in base64url. Raises ValueError."""
    if "-----BEGIN" in text:
        return read_p256_key(text)
    try:
        number = decode_base64url(text)
    except ValueError:
        number = b""
    if len(number) != 32:
        raise ValueError("not a private key on the curve P-256: write PEM, or its 32 bytes in base64url")
    try:
        return ec.derive_private_key(int.from_bytes(number, "big"), ec.SECP256R1())
    except ValueError:
        raise ValueError("not a private key on the curve P-256") from None
