"""Tokens of customers: one form is accepted, of this company, for this inbox, now; every other is refused."""

from __future__ import annotations

import base64
import hmac
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr
from starlette.requests import Request

from schemas.times import MINUTE, SECOND
from services.kit.runtime.clock import ManualClock
from services.orchestrator.delivery.adapters.app_inbox.access import InboxAccess, InboxClosed
from services.orchestrator.delivery.adapters.app_inbox.customer_tokens import (
    AUDIENCE,
    MAX_LIFETIME,
    MAX_TOKEN,
    CustomerTokenExpired,
    CustomerTokenRefused,
    VerifiedCustomer,
    sign_customer_token,
    verify_customer_token,
)
from services.orchestrator.delivery.adapters.app_inbox.declaration import AppInboxSettings

SECRET, PREVIOUS, FOREIGN = "a" * 16 + "the-secret-of-today", "b" * 16 + "the-one-before-it", "c" * 32
SECRETS = [SECRET, PREVIOUS]
NOW = 1_800_000_000 * SECOND
SOON = NOW // SECOND + 600
GOOD: dict[str, Any] = {"sub": "c-1", "aud": AUDIENCE, "exp": SOON}


def encode(part: bytes) -> str:
    return base64.urlsafe_b64encode(part).decode().rstrip("=")


def signed(
    claims: dict[str, Any] | bytes,
    header: dict[str, Any] | bytes | None = None,
    secret: str = SECRET,
    how: str = "sha256",
) -> str:
    """A token as any library makes it."""
    parts = [header if header is not None else {"alg": "HS256", "typ": "JWT"}, claims]
    text = ".".join(encode(each if isinstance(each, bytes) else json.dumps(each).encode()) for each in parts)
    return f"{text}.{encode(hmac.digest(secret.encode(), text.encode(), how))}"


def verify(token: str) -> VerifiedCustomer:
    return verify_customer_token(token, SECRETS, NOW)


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize(
    "more", [{}, {"aud": ["other", AUDIENCE]}, {"iat": SOON - 600, "nbf": SOON - 660}, {"iss": "shop", "role": "x"}]
)
def test_a_good_token_names_its_customer_whichever_of_the_two_secrets_signed_it(
    secret: str, more: dict[str, Any]
) -> None:
    assert verify(signed({**GOOD, **more}, secret=secret)) == VerifiedCustomer("c-1", SOON * SECOND)


def test_what_we_sign_for_the_demo_is_such_a_token() -> None:
    assert verify(sign_customer_token(SECRET, "kundin ä/1", SOON * SECOND)).customer == "kundin ä/1"


BAD: dict[str, str] = {
    "nothing": "",
    "no token": "tk_0123456789",
    "two parts": ".".join(signed(GOOD).split(".")[:2]),
    "five parts": signed(GOOD) + ".a.b",
    "no signature": ".".join([*signed(GOOD).split(".")[:2], ""]),
    "unsigned": f"{encode(json.dumps({'alg': 'none'}).encode())}.{signed(GOOD).split('.')[1]}.",
    "alg none, signed": signed(GOOD, {"alg": "none"}),
    "alg of small letters": signed(GOOD, {"alg": "hs256"}),
    "another alg": signed(GOOD, {"alg": "HS512"}),
    "signed by another alg": signed(GOOD, {"alg": "HS512"}, how="sha512"),
    "no alg": signed(GOOD, {"typ": "JWT"}),
    "critical extension": signed(GOOD, {"alg": "HS256", "crit": ["b64"], "b64": False}),
    "header is a list": signed(GOOD, b'["HS256"]'),
    "of somebody else": signed(GOOD, secret=FOREIGN),
    "padded": signed(GOOD) + "=",
    "blanks": signed(GOOD) + " ",
    "other letters": signed(GOOD) + "ä",
    "of another audience": signed({**GOOD, "aud": "tactful"}),
    "of a longer audience": signed({**GOOD, "aud": AUDIENCE + "2"}),
    "of no audience": signed({"sub": "c-1", "exp": SOON}),
    "of nobody": signed({"aud": AUDIENCE, "exp": SOON}),
    "of a number": signed({**GOOD, "sub": 1}),
    "of an empty customer": signed({**GOOD, "sub": ""}),
    "of a customer with a line break": signed({**GOOD, "sub": "c-1\n"}),
    "for ever": signed({"sub": "c-1", "aud": AUDIENCE}),
    "for ever, as null": signed({**GOOD, "exp": None}),
    "for too long": signed({**GOOD, "exp": NOW // SECOND + MAX_LIFETIME + 100}),
    "for longer than there are numbers": signed(b'{"sub":"c-1","aud":"tactful-inbox","exp":1e999}'),
    "as text": signed({**GOOD, "exp": str(SOON)}),
    "not yet": signed({**GOOD, "nbf": NOW // SECOND + 120}),
    "made in the future": signed({**GOOD, "iat": NOW // SECOND + 120}),
    "not JSON": signed(b"c-1"),
    "too long": signed({**GOOD, "x": "x" * MAX_TOKEN}),
}


@pytest.mark.parametrize("name", BAD)
def test_every_other_token_is_refused(name: str) -> None:
    with pytest.raises(CustomerTokenRefused) as refused:
        verify(BAD[name])
    assert not isinstance(refused.value, CustomerTokenExpired)
    assert "c-1" not in refused.value.detail


@pytest.mark.parametrize("age", [0, 1, 86_400])
def test_a_token_that_was_good_says_so(age: int) -> None:
    with pytest.raises(CustomerTokenExpired):
        verify(signed({**GOOD, "exp": NOW // SECOND - age}))


def test_without_secrets_nobody_is_let_in() -> None:
    for secret in ("", SECRET):
        with pytest.raises(CustomerTokenRefused):
            verify_customer_token(signed(GOOD, secret=secret), [], NOW)


CUSTOMERS = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1, max_size=40)


@given(customer=CUSTOMERS, other=CUSTOMERS)
def test_no_parts_of_two_tokens_make_a_third(customer: str, other: str) -> None:
    """Header, claims and signature of different tokens never fit together, however the names are alike."""
    ours, theirs = signed({**GOOD, "sub": customer}).split("."), signed({**GOOD, "sub": other}).split(".")
    assert verify(".".join(ours)).customer == customer
    for mixed in ([ours[0], ours[1], theirs[2]], [ours[0], theirs[1], ours[2]]):
        if customer == other:
            assert verify(".".join(mixed)).customer == customer
        else:
            with pytest.raises(CustomerTokenRefused):
                verify(".".join(mixed))


@given(place=st.integers(0, 400), letter=st.sampled_from("ABCz09-_.=+/ \0ä"))
def test_no_letter_of_a_token_can_be_changed(place: int, letter: str) -> None:
    """Not even one whose bits base64 would not read."""
    token = signed(GOOD)
    place %= len(token)
    changed = f"{token[:place]}{letter}{token[place + 1 :]}"
    if changed == token:
        assert verify(changed).customer == "c-1"
    else:
        with pytest.raises(CustomerTokenRefused):
            verify(changed)


@given(st.text(max_size=300) | st.binary(max_size=200).map(lambda raw: f"{encode(raw)}.{encode(raw)}.{encode(raw)}"))
def test_nothing_that_a_stranger_makes_up_is_more_than_refused(text: str) -> None:
    with pytest.raises(CustomerTokenRefused):
        verify(text)


@given(st.binary(max_size=80), st.binary(max_size=80))
def test_what_the_secret_has_signed_in_another_form_is_refused_as_well(header: bytes, claims: bytes) -> None:
    with pytest.raises(CustomerTokenRefused):
        verify(signed(claims, header))


async def test_a_secret_that_changes_while_the_process_runs_is_the_one_that_counts() -> None:
    clock, current = ManualClock(NOW), [AppInboxSettings()]
    access = InboxAccess(lambda: current[0], clock)

    async def ask(secret: str) -> str:
        token = sign_customer_token(secret, "c-1", NOW + MINUTE)
        headers = [(b"authorization", f"Bearer {token}".encode())]
        return (await access(Request({"type": "http", "headers": headers}))).customer

    first, second = "a-first-secret-0123456789-abcdefgh", "a-second-secret-0123456789-abcdefg"
    with pytest.raises(InboxClosed):
        await ask(first)
    current[0] = AppInboxSettings(secret=SecretStr(first))
    assert await ask(first) == "c-1"
    current[0] = AppInboxSettings(secret=SecretStr(second), previous_secret=SecretStr(first))
    assert await ask(first) == await ask(second) == "c-1"
    current[0] = AppInboxSettings(secret=SecretStr(second))
    with pytest.raises(CustomerTokenRefused):
        await ask(first)
