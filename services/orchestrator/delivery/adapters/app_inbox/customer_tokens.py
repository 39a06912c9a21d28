"""Tokens with which a customer's browser or app proves who it is: JSON Web Tokens that the company's back end signs.

One form is accepted and no other: HS256 (RFC 7515, RFC 7518) with a secret that both sides have, and the claims `sub`
(the customer's id), `aud` (`tactful-inbox`) and `exp`, at most a day ahead. The header's `alg` is compared, and chooses
nothing. The signature is compared as text, so a token has no second spelling.
"""

import hmac
from collections.abc import Sequence
from typing import Final

import msgspec
from pydantic import TypeAdapter, ValidationError

from schemas.fields import CustomerId
from schemas.times import SECOND, Instant
from services.kit.errors import Unauthorised
from services.orchestrator.delivery.adapters.signed_token import decode_base64url, encode_base64url

AUDIENCE: Final = "tactful-inbox"
MAX_TOKEN: Final = 2_048
"""Characters."""
MAX_LIFETIME: Final = 24 * 3600
"""Seconds from now to `exp`, at most: a token cannot be taken back before."""
CLOCK_SKEW: Final = 60
"""Seconds by which the clock of the signer may be ahead of ours."""
_CUSTOMER: Final = TypeAdapter(CustomerId)


class CustomerTokenRefused(Unauthorised):
    """There is no token of a customer, or one that proves nothing."""

    default_code = "customer_token_refused"


class CustomerTokenExpired(CustomerTokenRefused):
    """The token was good once: the company's back end makes a new one."""

    default_code = "customer_token_expired"


class VerifiedCustomer(msgspec.Struct, frozen=True):
    """Whom a token names, and until when it is valid."""

    customer: str
    expires: Instant


class _Header(msgspec.Struct, frozen=True):
    alg: str
    crit: msgspec.Raw | None = None


class _Claims(msgspec.Struct, frozen=True):
    sub: str
    exp: int | float
    aud: str | list[str]
    nbf: int | float | None = None
    iat: int | float | None = None


_HEADER: Final = msgspec.json.Decoder(_Header)
_CLAIMS: Final = msgspec.json.Decoder(_Claims)


def sign_customer_token(secret: str, customer: str, expires: Instant) -> str:
    """A token as the company's back end makes it: for tests and the demo."""
    claims = {"sub": customer, "aud": AUDIENCE, "exp": expires // SECOND}
    parts = ({"alg": "HS256", "typ": "JWT"}, claims)
    signed = ".".join(encode_base64url(msgspec.json.encode(part)) for part in parts)
    return f"{signed}.{_signature(secret, signed)}"


def verify_customer_token(token: str, secrets: Sequence[str], now: Instant) -> VerifiedCustomer:
    """Whom the token names. Raises CustomerTokenRefused, which does not say more than the caller may know."""
    parts = token.split(".") if len(token) <= MAX_TOKEN and token.isascii() else []
    if len(parts) != 3:
        raise CustomerTokenRefused("send `Authorization: Bearer <token>`, a token that your back end has signed")
    signed = f"{parts[0]}.{parts[1]}"
    # All secrets are tried, so that the time does not tell which one it was.
    genuine = [hmac.compare_digest(_signature(secret, signed).encode(), parts[2].encode()) for secret in secrets]
    if not any(genuine):
        raise CustomerTokenRefused("the token is not signed with the secret of this inbox by HS256")
    try:
        header = _HEADER.decode(decode_base64url(parts[0]))
        claims = _CLAIMS.decode(decode_base64url(parts[1]))
        customer = _CUSTOMER.validate_python(claims.sub, strict=True)
    except (msgspec.MsgspecError, ValidationError, ValueError):
        raise CustomerTokenRefused("the token needs `alg` and the claims `sub`, `aud` and `exp`") from None
    if header.alg != "HS256" or header.crit is not None:
        raise CustomerTokenRefused("the token's `alg` must be HS256, and it must have no `crit`")
    _check_claims(claims, now / SECOND)
    return VerifiedCustomer(customer, int(claims.exp * SECOND))


def _check_claims(claims: _Claims, now: float) -> None:
    if AUDIENCE not in ([claims.aud] if isinstance(claims.aud, str) else claims.aud):
        raise CustomerTokenRefused(f"the token's `aud` must be {AUDIENCE}")
    if claims.exp <= now:
        raise CustomerTokenExpired("the token has expired; ask your back end for a new one")
    if claims.exp > now + MAX_LIFETIME + CLOCK_SKEW:
        raise CustomerTokenRefused(f"the token's `exp` must be at most {MAX_LIFETIME} seconds ahead")
    if max(claims.nbf or 0, claims.iat or 0) > now + CLOCK_SKEW:
        raise CustomerTokenRefused("the token is not valid yet")


def _signature(secret: str, signed: str) -> str:
    return encode_base64url(hmac.digest(secret.encode(), signed.encode(), "sha256"))
