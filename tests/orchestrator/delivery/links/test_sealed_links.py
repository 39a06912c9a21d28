"""Tokens of links: what was sealed comes back, and nothing else does."""

from __future__ import annotations

import base64

from hypothesis import given
from hypothesis import strategies as st

from schemas.times import DAY
from schemas.vocabulary import Class
from services.orchestrator.delivery.links.sealed_links import MAX_TARGET, MAX_TOKEN, LinkKind, LinkSealer, SealedLink

OLD, NEW = "an-old-key-0123456789-abcdefghij", "a-new-key-0123456789-abcdefghijk"
NOW = 20_000 * DAY
MESSAGE = "msg_0123456789abcdef0123456789abcdef"
LINK = SealedLink(MESSAGE, 20_180, 3, "https://shop.example/orders?customer=c-1")
CHARACTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=+/ %"

targets = st.none() | st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=MAX_TARGET - 8).map(
    lambda rest: f"https://{rest}"
)


@given(
    st.sampled_from(["l", "o"]), st.sampled_from(list(Class)), st.integers(0, 400), targets, st.sampled_from([OLD, NEW])
)
def test_what_was_sealed_comes_back_with_either_key(
    kind: LinkKind, cls: Class, number: int, target: str | None, key: str
) -> None:
    link = SealedLink(MESSAGE, 20_000, number, target)
    token = LinkSealer([key]).seal(kind, cls, link)
    assert len(token) <= MAX_TOKEN
    assert LinkSealer([NEW, OLD]).unseal(kind, token, NOW) == link
    assert LinkSealer([key]).seal(kind, cls, link) == token


def test_any_other_character_anywhere_makes_it_worthless() -> None:
    sealer = LinkSealer([NEW, OLD])
    token = sealer.seal("l", "marketing", LINK)
    for place in range(len(token)):
        for character in CHARACTERS:
            if character != token[place]:
                assert sealer.unseal("l", f"{token[:place]}{character}{token[place + 1 :]}", NOW) is None
        assert sealer.unseal("l", token[:place] + token[place + 1 :], NOW) is None
        assert sealer.unseal("l", token[:place], NOW) is None
    assert sealer.unseal("l", f"{token}A", NOW) is None


@given(st.text(max_size=200) | st.binary(max_size=100).map(lambda raw: f"marketing.{base64.urlsafe_b64encode(raw)!r}"))
def test_what_was_never_sealed_is_nothing(text: str) -> None:
    assert LinkSealer([NEW]).unseal("l", text, NOW) is None


def test_a_foreign_key_another_kind_another_class_and_no_key_open_nothing() -> None:
    token = LinkSealer([OLD]).seal("l", "marketing", LINK)
    assert LinkSealer([NEW]).unseal("l", token, NOW) is None
    assert LinkSealer([OLD]).unseal("o", token, NOW) is None
    assert LinkSealer([OLD]).unseal("l", token.replace("marketing", "transactional"), NOW) is None
    assert LinkSealer([]).unseal("l", token, NOW) is None
    assert LinkSealer([OLD]).unseal("l", f"marketing.{'A' * MAX_TOKEN}", NOW) is None


def test_a_token_works_until_the_end_of_its_last_day() -> None:
    sealer = LinkSealer([NEW])
    token = sealer.seal("l", "marketing", LINK)
    assert sealer.unseal("l", token, 20_181 * DAY - 1) == LINK
    assert sealer.unseal("l", token, 20_181 * DAY) is None


def test_a_token_says_the_class_and_hides_the_rest() -> None:
    token = LinkSealer([NEW]).seal("l", "marketing", LINK)
    cls, _, sealed = token.partition(".")
    raw = base64.urlsafe_b64decode(sealed + "=" * (-len(sealed) % 4))
    assert cls == "marketing"
    assert not any(secret in raw for secret in (b"c-1", b"shop", MESSAGE.encode(), MESSAGE[4:].encode()))
