"""The kind of address of the channel `web_push`: a subscription, as `JSON.stringify(subscription)` writes it.

    {"endpoint": "https://...", "expirationTime": null, "keys": {"p256dh": "...", "auth": "..."}}

The canonical form is the same JSON without blanks and with these members alone, in this order: two texts of one
subscription are one address. It holds what a message is encrypted with, so it is treated like a password.
"""

import base64
import json
import re
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

from schemas.address_kinds import AddressKind, BadAddress, refuse_control_characters

MAX_ENDPOINT: Final = 2048
_KEY_BYTES: Final = {"p256dh": 65, "auth": 16}
"""A point on the curve P-256, not compressed, and a secret (RFC 8291, section 2)."""
_NOT_IN_ENDPOINTS: Final = re.compile(r'[^!-~]|["\\<>#]')
_REMEDY: Final = "give what JSON.stringify(subscription) returns in the browser"


class Subscription(NamedTuple):
    """A subscription. `public_key` and `secret` are the bytes of `p256dh` and `auth`."""

    endpoint: str
    public_key: bytes
    secret: bytes


def read_subscription(text: str) -> Subscription:
    """The subscription of a text. Raises BadAddress, which does not repeat it."""
    refuse_control_characters(text.replace("\n", "").replace("\r", "").replace("\t", ""))
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        raise _bad("not JSON") from None
    keys = found.get("keys") if isinstance(found, dict) else None
    if not isinstance(keys, dict):
        raise _bad("lacks `endpoint` or `keys`")
    return Subscription(_read_endpoint(found.get("endpoint")), *(_read_key(keys, name) for name in _KEY_BYTES))


def _read_endpoint(endpoint: Any) -> str:
    if not isinstance(endpoint, str) or not 0 < len(endpoint) <= MAX_ENDPOINT or _NOT_IN_ENDPOINTS.search(endpoint):
        raise _bad("its endpoint is no URL")
    try:
        parts = urlsplit(endpoint)
        usable = parts.scheme == "https" and bool(parts.hostname) and parts.username is None and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise _bad("its endpoint is no https URL")
    return endpoint


def _read_key(keys: dict[str, Any], name: str) -> bytes:
    text = keys.get(name)
    if isinstance(text, str) and len(text) < 200:
        try:
            text = text.rstrip("=")
            key = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        except ValueError:
            key = b""
        if len(key) == _KEY_BYTES[name] and (name != "p256dh" or key[0] == 4):
            return key
    raise _bad(f"its key `{name}` is not {_KEY_BYTES[name]} bytes in base64url")


def _bad(problem: str) -> BadAddress:
    return BadAddress("bad_subscription", f"not a push subscription: {problem}", _REMEDY)


def _canonical_subscription(text: str, _region: str | None) -> str:
    endpoint, public_key, secret = read_subscription(text)
    encoded = {"p256dh": encode_key(public_key), "auth": encode_key(secret)}
    return json.dumps({"endpoint": endpoint, "keys": encoded}, separators=(",", ":"))


def encode_key(key: bytes) -> str:
    """base64url without padding."""
    return base64.urlsafe_b64encode(key).decode().rstrip("=")


def _shorten_subscription(canonical: str) -> str:
    """The push service, and the end of what tells its subscriptions apart; no key."""
    try:
        endpoint = read_subscription(canonical).endpoint
    except BadAddress:
        return "a push subscription"
    return f"{urlsplit(endpoint).hostname} …{endpoint[-8:]}"


SUBSCRIPTION: Final = AddressKind(
    name="push subscription", canonicalise=_canonical_subscription, shorten=_shorten_subscription
)
"""What browsers call a PushSubscription."""
