"""Which ID tokens are taken: a table of what they may say, and of how they may be signed."""

import warnings
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jws, jwt
from joserfc.jwk import ECKey, OctKey, RSAKey

from schemas.times import SECOND, parse_instant
from services.kit.http.oidc.id_token import ExpectedToken, IdTokenRefused, read_id_token, usable_keys

NOON = parse_instant("2026-03-02T12:00:00Z")
EXPECTED = ExpectedToken("https://login.example.org", "tactful", "a-nonce")
STRONG = RSAKey.generate_key(2048, {"kid": "rsa"})
with warnings.catch_warnings():  # which says that it is weak
    warnings.simplefilter("ignore")
    WEAK = RSAKey.generate_key(1024, {"kid": "weak"})
CURVE, OTHER = ECKey.generate_key("P-256", {"kid": "ec"}), ECKey.generate_key("P-256", {"kid": "ec"})
SECRET = OctKey.import_key("s" * 64, {"kid": "oct"})


def claims_of(**changes: Any) -> dict[str, Any]:
    at = NOON // SECOND
    given = {"iss": EXPECTED.issuer, "aud": "tactful", "sub": "s-1", "nonce": "a-nonce", "iat": at, "exp": at + 60}
    return given | changes


def token(key: Any, algorithm: str, header: dict[str, Any] | None = None, **changes: Any) -> str:
    head = {"alg": algorithm, "kid": key.kid} if header is None else {"alg": algorithm, **header}
    registry = jws.JWSRegistry(algorithms=[algorithm], strict_check_header=False)
    return jwt.encode(head, claims_of(**changes), key, registry=registry)


def public(*keys: Any, **fields: Any) -> list[dict[str, Any]]:
    return [{**key.as_dict(private=False), "kid": key.kid, **fields} for key in keys]


def takes(text: str, keys: list[dict[str, Any]]) -> bool:
    try:
        claims = read_id_token(text, keys, EXPECTED, NOON)
    except IdTokenRefused:
        return False
    return bool(claims["sub"] == "s-1")


@pytest.mark.parametrize("algorithm", ["RS256", "RS384", "RS512", "PS256", "ES256"])
def test_what_providers_sign_with_is_taken(algorithm: str) -> None:
    key = CURVE if algorithm.startswith("ES") else STRONG
    assert takes(token(key, algorithm), public(STRONG, CURVE))
    assert takes(token(key, algorithm, {}), public(STRONG, CURVE)), "a token that names no key"
    assert takes(token(key, algorithm, {"kid": key.kid, "x5c": ["A" * 4000], "odd": 1}), public(key))


def test_other_signatures_are_not() -> None:
    assert not takes(token(OTHER, "ES256"), public(CURVE)), "another key of the same name"
    assert not takes(token(CURVE, "ES256", {"kid": "gone"}), public(CURVE)), "a name that is not published"
    assert not takes(token(WEAK, "RS256"), public(WEAK)), "1024 bits"
    assert not takes(token(CURVE, "ES256"), public(CURVE, use="enc")), "a key for something else"
    assert not takes(token(STRONG, "RS256"), public(STRONG, alg="RS512")), "a key of another algorithm"
    assert not takes(token(SECRET, "HS256"), [SECRET.as_dict(), *public(STRONG)]), "a published secret"
    assert not takes(token(CURVE, "ES256"), []) and usable_keys([]) == 0
    assert usable_keys([*public(STRONG, CURVE, WEAK), SECRET.as_dict(), {"kty": "RSA"}, {}]) == 2


@pytest.mark.parametrize(
    "changes",
    [{"aud": ["tactful"]}, {"aud": ["tactful", "b"], "azp": "tactful"}, {"azp": "tactful"}, {"nbf": NOON // SECOND}]
    + [{"iat": NOON / SECOND - 0.5}],
    ids=str,
)
def test_what_a_token_may_say(changes: dict[str, Any]) -> None:
    assert takes(token(CURVE, "ES256", **changes), public(CURVE))


_odd = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text(max_size=20),
    st.lists(st.text(max_size=5), max_size=3), st.dictionaries(st.text(max_size=5), st.integers(), max_size=2),
)  # fmt: skip


@given(st.sampled_from(["iss", "aud", "nonce", "exp", "iat", "sub", "azp", "nbf"]), _odd)
def test_odd_claims_are_refused_or_right_and_nothing_else_happens(name: str, value: Any) -> None:
    text = token(CURVE, "ES256", **{name: value})
    if takes(text, public(CURVE)) and name in ("iss", "aud", "nonce"):
        assert value in (EXPECTED.issuer, "tactful", ["tactful"], "a-nonce")


@given(st.text(max_size=200) | st.binary(max_size=100).map(lambda octets: octets.hex() + ".e30.x"))
def test_what_is_no_token_is_refused(text: str) -> None:
    with pytest.raises(IdTokenRefused):
        read_id_token(text, public(CURVE), EXPECTED, NOON)


@given(st.data())
def test_a_token_with_one_character_changed_is_refused(data: st.DataObject) -> None:
    good = token(CURVE, "ES256")
    place = data.draw(st.integers(0, good.rindex(".") + 80))
    other = data.draw(st.sampled_from("AQgw._-").filter(lambda each: each != good[place]))
    assert not takes(good[:place] + other + good[place + 1 :], public(CURVE))
