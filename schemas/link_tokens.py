"""Signed tokens for the unsubscribe and preference links in messages; such a link works without signing in.

The orchestrator puts the links into messages, the preference service serves them. A token cannot be forged without the
key. It says on which day it was made, and does not expire by itself: an unsubscribe link in an old message must still
work, while editing needs a younger link (`is_fresh`). Tokens of earlier versions say no day, and count as old. What a
token of kind `c` confirms does expire, with the request that it names.

The signing key is derived from the deployment's link key, and where there is none from its address key, so that all
processes share it. Tokens that earlier keys have signed are still taken.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, Protocol

import msgspec

from schemas.times import DAY, Instant

KEY_LABEL = b"tactful preference links v1"
EDIT_DAYS: Final = 90
"""For so many days a link lets its holder edit."""
CODE_DIGITS: Final = 6
_CODE_LABEL = b"tactful address verification code v1\0"
_MAC_SIZE = 16
_MAX_TOKEN_LENGTH = 1024

LinkKind = Literal["u", "p", "c", "a"]


class LinkBuilder(Protocol):
    """Makes the links of a message by name: `unsubscribe`, `preferences`; `confirm_consent` for a request of a consent;
    `verify_address`, and the `verification_code` that does the same, for a request to verify an address.
    """

    def __call__(
        self,
        customer: str,
        topic: str | None,
        cls: str,
        now: Instant,
        consent_request: str | None = None,
        address_request: str | None = None,
    ) -> dict[str, str]: ...


class LinkToken(msgspec.Struct, frozen=True, array_like=True):
    """The content of a link. Kind `u` unsubscribes from `topic` (None: from marketing); `p` shows the preferences; `c`
    confirms a consent, and `a` an address; they have the id of the request in the place of a topic, so that tokens have
    one form for ever.

    `issued`: the day on which it was made, in days since 1970 UTC; None in tokens of earlier versions.
    """

    kind: LinkKind
    customer: str
    topic: str | None = None
    issued: int | None = None

    @property
    def consent_request(self) -> str | None:
        """The id of the request that a link of kind `c` confirms."""
        return self.topic if self.kind == "c" else None

    @property
    def address_request(self) -> str | None:
        """The id of the request that a link of kind `a` confirms."""
        return self.topic if self.kind == "a" else None


@dataclass(frozen=True, slots=True)
class LinkKeys:
    """The key that signs new tokens, and the former ones, whose tokens are still taken."""

    signing: bytes
    former: tuple[bytes, ...] = ()


_DECODER = msgspec.msgpack.Decoder(LinkToken)


def derive_token_key(secret: str) -> bytes:
    """The key that signs tokens, derived from a secret of the deployment."""
    return hmac.new(secret.encode(), KEY_LABEL, hashlib.sha256).digest()


def derive_link_keys(address_key: str, link_key: str | None = None, old_link_keys: Sequence[str] = ()) -> LinkKeys:
    """The keys of a deployment. What the address key signed before there was a link key is always taken."""
    secrets = dict.fromkeys([link_key or address_key, *old_link_keys, address_key])
    signing, *former = map(derive_token_key, secrets)
    return LinkKeys(signing, tuple(former))


def sign_token(key: bytes, token: LinkToken) -> str:
    """The token as a part of a URL."""
    payload = msgspec.msgpack.encode(token)
    return base64.urlsafe_b64encode(_mac(key, payload) + payload).rstrip(b"=").decode()


def verify_token(keys: LinkKeys | bytes, text: str, kind: LinkKind) -> LinkToken | None:
    """The token of a URL, or None for a text that none of these keys has signed for this kind of link.

    Takes the same time whichever key fits: the number of keys is known, which of them signed is not.
    """
    if len(text) > _MAX_TOKEN_LENGTH:
        return None
    every_key = (keys,) if isinstance(keys, bytes) else (keys.signing, *keys.former)
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        token = _DECODER.decode(raw[_MAC_SIZE:])
    except (binascii.Error, ValueError, msgspec.MsgspecError):
        return None
    # The last character of base64 may have bits that decoding drops: only one spelling of a token is taken.
    is_canonical = base64.urlsafe_b64encode(raw).rstrip(b"=").decode() == text
    genuine = [hmac.compare_digest(_mac(key, raw[_MAC_SIZE:]), raw[:_MAC_SIZE]) for key in every_key]
    return token if any(genuine) and is_canonical and token.kind == kind else None


def list_page_prefixes(base_url: str) -> tuple[str, ...]:
    """What these links begin with, to tell them from others. `base_url`: as of `create_link_builder`."""
    base = base_url.rstrip("/")
    return f"{base}/u/", f"{base}/p/"


def is_fresh(token: LinkToken, now: Instant) -> bool:
    """Whether the link is young enough to let its holder edit."""
    return token.issued is not None and day_of(now) - token.issued <= EDIT_DAYS


def day_of(instant: Instant) -> int:
    """Days since 1970 UTC."""
    return instant // DAY


def create_link_builder(keys: LinkKeys, base_url: str) -> LinkBuilder:
    """A function that makes the links of a message. `base_url`: the preference service's, as customers reach it.

    A message's link opts out of its topic; one without a topic opts out of class marketing, whatever its own class.
    """
    key, base = keys.signing, base_url.rstrip("/")

    def links(
        customer: str,
        topic: str | None,
        cls: str,
        now: Instant,
        consent_request: str | None = None,
        address_request: str | None = None,
    ) -> dict[str, str]:
        issued = day_of(now)
        made = {
            "unsubscribe": f"{base}/u/{sign_token(key, LinkToken('u', customer, topic, issued))}",
            "preferences": f"{base}/p/{sign_token(key, LinkToken('p', customer, None, issued))}",
        }
        if consent_request is not None:
            made["confirm_consent"] = f"{base}/c/{sign_token(key, LinkToken('c', customer, consent_request, issued))}"
        if address_request is not None:
            made["verify_address"] = f"{base}/a/{sign_token(key, LinkToken('a', customer, address_request, issued))}"
            made["verification_code"] = _verification_code(key, customer, address_request)
        return made

    return links


def is_verification_code(keys: LinkKeys, customer: str, request: str, text: str) -> bool:
    """Whether the text is the code of this request, by the key of today or a former one. Takes the same time for all
    texts.
    """
    given = text.encode("utf-8", "surrogatepass")
    codes = [_verification_code(key, customer, request).encode() for key in (keys.signing, *keys.former)]
    return any([hmac.compare_digest(code, given) for code in codes])  # noqa: C419 - all are compared


def _verification_code(key: bytes, customer: str, request: str) -> str:
    """Six digits, made of the request's id whenever they are needed, so that they are kept nowhere but in messages."""
    mac = hmac.digest(key, _CODE_LABEL + msgspec.msgpack.encode((customer, request)), "sha256")
    return f"{int.from_bytes(mac[:16]) % 10**CODE_DIGITS:0{CODE_DIGITS}d}"


def _mac(key: bytes, payload: bytes) -> bytes:
    return hmac.digest(key, payload, "sha256")[:_MAC_SIZE]
