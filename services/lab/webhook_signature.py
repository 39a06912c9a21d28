"""Standard Webhooks as the other side sees it. Written from the specification, not from Tactful's adapter."""

import base64
import hmac
from collections.abc import Mapping

from schemas.times import SECOND, Instant

TOLERANCE = 300
"""Seconds that a request may differ from our time."""


def write_webhook_secret(key: bytes) -> str:
    """A key as people copy it."""
    return f"whsec_{base64.b64encode(key).decode()}"


def sign_headers(prefix: str, key: bytes, id: str, now: Instant, body: bytes) -> dict[str, str]:
    """The headers of a request that is sent now: `<prefix>-id`, `-timestamp`, `-signature`."""
    seconds = str(now // SECOND)
    signature = hmac.digest(key, b".".join((id.encode(), seconds.encode(), body)), "sha256")
    return {
        f"{prefix}-id": id,
        f"{prefix}-timestamp": seconds,
        f"{prefix}-signature": f"v1,{base64.b64encode(signature).decode()}",
        "content-type": "application/json",
    }


def is_signed(prefix: str, headers: Mapping[str, str], key: bytes, body: bytes, now: Instant) -> bool:
    """Whether a request has a right signature of these minutes."""
    id, seconds, given = (headers.get(f"{prefix}-{name}", "") for name in ("id", "timestamp", "signature"))
    if not (id and seconds.isascii() and seconds.isdecimal() and len(seconds) < 12):
        return False
    right = sign_headers(prefix, key, id, int(seconds) * SECOND, body)[f"{prefix}-signature"].encode()
    fits = any(hmac.compare_digest(right, each.encode("utf-8", "replace")) for each in given.split(" ")[:10])
    return fits and abs(now // SECOND - int(seconds)) <= TOLERANCE
