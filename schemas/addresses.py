"""Addresses by channel: their canonical form, and the keyed hash under which suppressions know them.

Every door that takes an address makes its canonical form with `canonical_address`: the form is what is compared, hashed
and handed to providers. What was given is kept beside it for people to see.
"""

import hashlib
import hmac
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from schemas.address_kinds import NO_ADDRESS, TOKEN, AddressKind, BadAddress
from schemas.channel_registry import CHANNEL_REGISTRY
from schemas.facts import Address

_KINDS = {each.id: each.address_kind for each in CHANNEL_REGISTRY.declarations.values()}


class UnusableAddress(NamedTuple):
    """Why one of several addresses cannot be used: its place among them, a code, and words that say how to mend it."""

    position: int
    code: str
    detail: str


def kind_of_address(channel: str) -> AddressKind:
    """The kind of address that a channel has."""
    return _KINDS.get(channel, TOKEN)


def canonical_address(channel: str, text: str, region: str | None) -> str:
    """The canonical form of an address. Raises BadAddress.

    `region`: the customer's country, else the organisation's, in whose national form a telephone number may be given.
    """
    return kind_of_address(channel).canonicalise(text, region)


def canonical_by_channel(channel: str | None, text: str, region: str | None) -> dict[str, str]:
    """The canonical forms of an address on the given channel, or on each where it is an address. Raises BadAddress.

    Without a channel a text that is meant as one kind of address by all appearances, and is none, is refused: taken
    for another kind, such as a token, it would cover nobody.
    """
    if channel is not None:
        return {channel: canonical_address(channel, text, region)}
    found: dict[str, str] = {}
    for each, kind in _KINDS.items():
        try:
            found[each] = kind.canonicalise(text, region)
        except BadAddress as error:
            if kind.resembles(text):
                raise BadAddress(error.code, error.problem, f"{error.remedy}; or name its channel") from None
    if all(_KINDS[each] is NO_ADDRESS for each in found):
        raise BadAddress("no_address", "an address of no channel", "name its channel to see what is wrong with it")
    return found


def with_canonical_form(address: Address, region: str | None) -> Address:
    """The address with its canonical form, or with what makes it unusable."""
    known = (address.channel, address.address, address.verified)
    try:
        canonical = canonical_address(address.channel, address.address, region)
    except BadAddress as error:
        return Address(*known, problem=error.problem, former=address.former)
    return Address(*known, None if canonical == address.address else canonical, former=address.former)


def find_unusable(addresses: Iterable[tuple[str, str]], region: str | None) -> Iterator[UnusableAddress]:
    """Those of the addresses, each a channel and a text, that have no canonical form.

    One with the code `country_unknown` may be usable once the customer's country is known.
    """
    for index, (channel, text) in enumerate(addresses):
        try:
            canonical_address(channel, text, region)
        except BadAddress as error:
            yield UnusableAddress(index, error.code, str(error))


def comparable_form(channel: str, canonical: str) -> str:
    """What is equal for two canonical forms of the same address."""
    return canonical.strip().lower() if kind_of_address(channel).ignores_case else canonical.strip()


def create_address_hasher(key: bytes) -> Callable[[str, str], str]:
    """Channel and canonical form -> keyed hash (HMAC-SHA256, hex) under which suppressions know an address."""
    base_mac = hmac.new(key, digestmod="sha256")

    def compute_hash(channel: str, canonical: str) -> str:
        mac = base_mac.copy()
        mac.update(f"{channel}\0{comparable_form(channel, canonical)}".encode("utf-8", "surrogatepass"))
        return mac.hexdigest()

    return compute_hash


def hash_address(key: bytes, channel: str, canonical: str) -> str:
    """One hash of `create_address_hasher`."""
    return create_address_hasher(key)(channel, canonical)


def address_key_fingerprint(address_key: bytes) -> str:
    """16 hexadecimal digits that tell two address keys apart without revealing either."""
    return hashlib.sha256(b"tactful address key\0" + address_key).hexdigest()[:16]


def other_spellings(channel: str, given: str, canonical: str, region: str | None) -> tuple[str, ...]:
    """Texts under which earlier versions may have hashed the address: as given, and in usual spellings."""
    found = (given, *kind_of_address(channel).other_spellings(canonical, region))
    known = comparable_form(channel, canonical)
    return tuple(dict.fromkeys(text for text in found if comparable_form(channel, text) != known))
