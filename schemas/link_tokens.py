"""Signed tokens for the unsubscribe and preference links in messages; such a link works without signing in.

The orchestrator puts the links into messages, the preference service serves them. A token cannot be forged without the
key and does not expire: an unsubscribe link in an old message must still work. What a token of kind `c` confirms does
expire, with the request that it names. The signing key is derived from the deployment's address key, so all processes
share it.
"""

import base64
import binascii
import hashlib
import hmac
from typing import Literal, Protocol

import msgspec

KEY_LABEL = b"tactful preference links v1"
_MAC_SIZE = 16
_MAX_TOKEN_LENGTH = 1024

LinkKind = Literal["u", "p", "c"]


class LinkBuilder(Protocol):
    """Makes the links of a message by name: `unsubscribe`, `preferences`, and `confirm_consent` for a request."""

    def __call__(
        self, customer: str, topic: str | None, cls: str, consent_request: str | None = None
    ) -> dict[str, str]: ...


class LinkToken(msgspec.Struct, frozen=True, array_like=True):
    """The content of a link. Kind `u` unsubscribes from `topic` (None: from marketing); `p` shows the preferences; `c`
    confirms a consent, and has the id of its request in the place of a topic, so that tokens have one form for ever.
    """

    kind: LinkKind
    customer: str
    topic: str | None = None

    @property
    def consent_request(self) -> str | None:
        """The id of the request that a link of kind `c` confirms."""
        return self.topic if self.kind == "c" else None


_DECODER = msgspec.msgpack.Decoder(LinkToken)


def derive_token_key(secret: str) -> bytes:
    """The signing key of a deployment whose address key is `secret`."""
    return hmac.new(secret.encode(), KEY_LABEL, hashlib.sha256).digest()


def sign_token(key: bytes, token: LinkToken) -> str:
    """The token as a part of a URL."""
    payload = msgspec.msgpack.encode(token)
    mac = hmac.digest(key, payload, "sha256")[:_MAC_SIZE]
    return base64.urlsafe_b64encode(mac + payload).rstrip(b"=").decode()


def verify_token(key: bytes, text: str, kind: LinkKind) -> LinkToken | None:
    """The token of a URL, or None for a text that this key did not sign for this kind of link."""
    if len(text) > _MAX_TOKEN_LENGTH:
        return None
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        token = _DECODER.decode(raw[_MAC_SIZE:])
    except (binascii.Error, ValueError, msgspec.MsgspecError):
        return None
    genuine = hmac.compare_digest(sign_token(key, token).encode(), text.encode())
    return token if genuine and token.kind == kind else None


def list_page_prefixes(base_url: str) -> tuple[str, ...]:
    """What these links begin with, to tell them from others. `base_url`: as of `create_link_builder`."""
    base = base_url.rstrip("/")
    return f"{base}/u/", f"{base}/p/"


def create_link_builder(secret: str, base_url: str) -> LinkBuilder:
    """A function that makes the links of a message. `base_url`: the preference service's, as customers reach it.

    A message's link opts out of its topic; one without a topic opts out of class marketing, whatever its own class.
    """
    key, base = derive_token_key(secret), base_url.rstrip("/")

    def links(customer: str, topic: str | None, cls: str, consent_request: str | None = None) -> dict[str, str]:
        made = {
            "unsubscribe": f"{base}/u/{sign_token(key, LinkToken('u', customer, topic))}",
            "preferences": f"{base}/p/{sign_token(key, LinkToken('p', customer))}",
        }
        if consent_request is not None:
            made["confirm_consent"] = f"{base}/c/{sign_token(key, LinkToken('c', customer, consent_request))}"
        return made

    return links
