"""Addresses by channel: hashes, several channels at once, what cannot be used."""

import pytest

from schemas.address_kinds import BadAddress
from schemas.addresses import (
    canonical_address,
    canonical_by_channel,
    find_unusable,
    hash_address,
    kind_of_address,
    with_canonical_form,
)
from schemas.channel_registry import CHANNEL_REGISTRY
from schemas.facts import Address
from services.orchestrator.delivery.channels.registry import CHANNELS_BY_ID

KEY = b"an-address-key-for-tests"


def test_the_sample_address_of_every_channel_is_one() -> None:
    for id in CHANNEL_REGISTRY.declarations:
        canonical = canonical_address(id, CHANNELS_BY_ID[id].sample_address, None)
        assert canonical_address(id, canonical, None) == canonical


def test_what_is_kept_is_what_was_given_and_the_form_where_it_differs() -> None:
    assert with_canonical_form(Address("sms", "+447700900101", True), None) == Address("sms", "+447700900101", True)
    spaced = with_canonical_form(Address("sms", "07700 900101", True), "GB")
    assert spaced == Address("sms", "07700 900101", True, "+447700900101") and spaced.canonical_form == "+447700900101"
    broken = with_canonical_form(Address("email", "ada@shop.local", False), None)
    assert broken == Address("email", "ada@shop.local", False, None, "an e-mail address at a reserved domain")


def test_a_hash_is_that_of_the_form_in_which_addresses_are_compared() -> None:
    assert hash_address(KEY, "email", "Ada@example.org") == hash_address(KEY, "email", "ada@example.org")
    assert hash_address(KEY, "push", "Token") != hash_address(KEY, "push", "token")
    assert hash_address(KEY, "push", "1") != hash_address(KEY, "in_app", "1")


def test_without_a_channel_an_address_counts_wherever_it_is_one() -> None:
    found = canonical_by_channel(None, "Ada@Bücher.example", None)
    assert found["email"] == "Ada@xn--bcher-kva.example" and "sms" not in found
    number = canonical_by_channel(None, "+44 7700 900101", None)
    assert number["sms"] == "+447700900101" and "email" not in number


@pytest.mark.parametrize(
    "text",
    [
        *("07700 900101", "07700900101", "ada@shop.local", "ada@", "not an address", "tel:+447700900101"),
        *("TEL:07700900101", "sms:447700900101", "whatsapp:+447700900101", "+447700900101x5", "+44770O900101"),
        *("+447700900101;ext=5", "ada%40example.org", "ada(at)example.org", "ada[AT]example.org"),
    ],
)
def test_without_a_channel_what_looks_like_an_address_and_is_none_is_not_taken_for_a_token(text: str) -> None:
    with pytest.raises(BadAddress, match="channel"):
        canonical_by_channel(None, text, None)


def test_unusable_addresses_are_told_by_their_place() -> None:
    given = [("email", "ada@shop.local"), ("email", "ada@example.org"), ("sms", "0171 5551234")]
    assert [(each.position, each.code) for each in find_unusable(given, None)] == [
        (0, "reserved_domain"),
        (2, "country_unknown"),
    ]
    assert [each.position for each in find_unusable(given, "DE")] == [0]


def test_a_channel_that_is_not_known_has_tokens() -> None:
    assert kind_of_address("no-such-channel").name == "device token"
