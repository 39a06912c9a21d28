"""Whether an ID token is what the provider said of somebody who has just signed in (OpenID Connect Core, 3.1.3.7).

Pure: it gets the token, the provider's keys as they are published at this moment, and the time. Only signatures that
prove the provider are taken: a token without one (`alg` none), and one signed with a secret (HS256), are refused.
"""

import hmac
from base64 import urlsafe_b64decode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import JWKRegistry
from msgspec import DecodeError, json

from schemas.times import MINUTE, SECOND, Instant
from services.kit.errors import Forbidden

ALGORITHMS: Final = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512"})
LEEWAY: Final = MINUTE
"""Microseconds by which the provider's clock and ours may differ."""
MAX_AGE: Final = 10 * MINUTE
"""Microseconds after which a token is too old for a sign-in, whatever it says of itself."""
MAX_TOKEN: Final = 64 * 1024
"""Characters."""
MAX_KEYS: Final = 50
_MIN_RSA_BITS: Final = 2048
_KEY_TYPES: Final = {"RS": "RSA", "PS": "RSA", "ES": "EC"}
_MAX_SUBJECT: Final = 255


class IdTokenRefused(Forbidden):
    """The ID token cannot be trusted; nobody is signed in."""

    default_code = "id_token_refused"


class ClocksDiffer(IdTokenRefused):
    """The ID token is not valid yet, or not any more, by our clock."""

    default_code = "clocks_differ"


@dataclass(frozen=True, slots=True)
class ExpectedToken:
    """What a token has to say: who issued it, for which client, and in answer to which request."""

    issuer: str
    client_id: str
    nonce: str


def read_id_token(
    token: str, keys: Sequence[Mapping[str, Any]], expected: ExpectedToken, now: Instant
) -> dict[str, Any]:
    """The claims of a token. `keys`: the provider's key set (JWKS). Raises IdTokenRefused."""
    claims = _verified_claims(token, keys)
    if claims.get("iss") != expected.issuer:
        raise IdTokenRefused("the ID token is of another issuer")
    _check_audience(claims, expected.client_id)
    _check_times(claims, now)
    nonce = claims.get("nonce")
    if not isinstance(nonce, str) or not hmac.compare_digest(nonce.encode(), expected.nonce.encode()):
        raise IdTokenRefused("the ID token answers another request: its nonce is not ours")
    subject = claims.get("sub")
    if not isinstance(subject, str) or not 0 < len(subject) <= _MAX_SUBJECT:
        raise IdTokenRefused("the ID token names nobody: it has no `sub`")
    return claims


def _verified_claims(token: str, keys: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    if len(token) > MAX_TOKEN:
        raise IdTokenRefused(f"the ID token has more than {MAX_TOKEN} characters")
    registry = _registry()
    try:
        header = jws.extract_compact(token.encode(), registry=registry).headers()
    except (JoseError, ValueError, RecursionError):
        raise IdTokenRefused("the ID token is no signed JWT") from None
    algorithm = header.get("alg")
    if algorithm not in ALGORITHMS:
        raise IdTokenRefused(f"the ID token is not signed by one of {', '.join(sorted(ALGORITHMS))}")
    for key in _candidates(keys, str(algorithm), header.get("kid")):
        try:
            payload = jws.deserialize_compact(token, key, registry=registry).payload
        except (JoseError, ValueError):
            continue
        return _read_claims(payload)
    raise IdTokenRefused("the ID token is not signed by a key that the provider publishes now")


def _registry() -> jws.JWSRegistry:
    """Takes headers with more in them than we read, such as a chain of certificates."""
    registry = jws.JWSRegistry(algorithms=sorted(ALGORITHMS), strict_check_header=False)
    registry.max_header_length = MAX_TOKEN
    return registry


def usable_keys(keys: Sequence[Mapping[str, Any]]) -> int:
    """How many of the published keys could sign an ID token that is taken."""
    return sum(any(_candidates([key], algorithm, key.get("kid")) for algorithm in ALGORITHMS) for key in keys)


def _candidates(keys: Sequence[Mapping[str, Any]], algorithm: str, kid: object) -> list[Any]:
    """The published keys that may have signed it: of this name, if it names one, of the right kind, and strong."""
    found = []
    for each in keys[:MAX_KEYS]:
        if each.get("kty") != _KEY_TYPES[algorithm[:2]] or each.get("use", "sig") != "sig":
            continue
        if (kid is not None and each.get("kid") != kid) or each.get("alg", algorithm) != algorithm:
            continue
        try:
            if each["kty"] != "RSA" or _modulus_bits(each) >= _MIN_RSA_BITS:
                found.append(JWKRegistry.import_key(dict(each)))
        except (JoseError, ValueError, TypeError, KeyError):
            continue
    return found


def _modulus_bits(key: Mapping[str, Any]) -> int:
    """The size of an RSA key. Raises ValueError, TypeError, KeyError where it is none."""
    return int.from_bytes(urlsafe_b64decode(key["n"] + "==")).bit_length()


def _read_claims(payload: bytes) -> dict[str, Any]:
    try:
        claims: dict[str, Any] = json.decode(payload, type=dict)
    except (DecodeError, UnicodeDecodeError, RecursionError):
        raise IdTokenRefused("the ID token holds no claims") from None
    return claims


def _check_audience(claims: Mapping[str, Any], client_id: str) -> None:
    given = claims.get("aud")
    audience = given if isinstance(given, list) else [given]
    if client_id not in audience:
        raise IdTokenRefused("the ID token is for another client: its `aud` is not our client id")
    party = claims.get("azp")
    if (party is not None and party != client_id) or (len(audience) > 1 and party is None):
        raise IdTokenRefused("the ID token was given to another client: its `azp` is not our client id")


def _check_times(claims: Mapping[str, Any], now: Instant) -> None:
    expires, issued, not_before = (_instant(claims, name) for name in ("exp", "iat", "nbf"))
    if expires is None or issued is None:
        raise IdTokenRefused("the ID token does not say when it was issued and when it ends")
    if now >= expires + LEEWAY:
        raise ClocksDiffer("the ID token has ended")
    if max(issued, not_before or issued) > now + LEEWAY:
        raise ClocksDiffer("the ID token is of the future")
    if now - issued > MAX_AGE + LEEWAY:
        raise ClocksDiffer("the ID token was issued too long ago")


def _instant(claims: Mapping[str, Any], name: str) -> Instant | None:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not -(2**40) < value < 2**40:
        return None
    return int(value * SECOND)
