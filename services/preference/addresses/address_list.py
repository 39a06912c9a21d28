"""What may be done with a customer's addresses: add, verify, choose first, remove. Pure.

The main address of a channel is the one that messages go to: the first verified one, else the first. Messages pass over
former addresses and those without a canonical form (services/orchestrator/policy/customer_facts.py). An e-mail address
that is verified by message or by the company's word becomes the main one, and the ones before it become former, since
whoever gives a new mailbox has left the old one. On other channels a second address stays beside the first.
"""

from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Final

import msgspec

from schemas.address_kinds import EMAIL
from schemas.addresses import kind_of_address
from schemas.facts import Address
from schemas.times import Instant
from services.preference.preference_state import address_key


class AddressState(StrEnum):
    """What may go to an address: all, all but marketing, or nothing: it cannot be used, or another took its place."""

    VERIFIED = "verified"
    UNVERIFIED = "unverified"
    UNUSABLE = "unusable"
    FORMER = "former"


IN_USE: Final = frozenset({AddressState.VERIFIED, AddressState.UNVERIFIED})


def state_of(address: Address) -> AddressState:
    """What may go to the address."""
    if address.problem is not None:
        return AddressState.UNUSABLE
    if address.former is not None:
        return AddressState.FORMER
    return AddressState.VERIFIED if address.verified else AddressState.UNVERIFIED


def main_address(addresses: Iterable[Address], channel: str) -> Address | None:
    """The address that messages on the channel go to, marketing only if it is verified."""
    in_use = [each for each in addresses if each.channel == channel and state_of(each) in IN_USE]
    return next((each for each in in_use if each.verified), in_use[0] if in_use else None)


def find_same(addresses: Iterable[Address], wanted: Address) -> Address | None:
    """The address among these that is the same, however it is spelt."""
    return next((each for each in addresses if address_key(each) == address_key(wanted)), None)


def add_address(addresses: Sequence[Address], new: Address, now: Instant) -> tuple[Address, ...]:
    """The addresses with one more, at the end. One that is known stays as it is; `new.verified` verifies it."""
    known = tuple(addresses)
    if find_same(known, new) is None:
        known = (*known, msgspec.structs.replace(new, verified=False))
    return verify_address(known, new, now) if new.verified else known


def verify_address(addresses: Sequence[Address], wanted: Address, now: Instant) -> tuple[Address, ...]:
    """The addresses, in which this one is verified. Of e-mail addresses it takes the place of the others."""
    key = address_key(wanted)
    known = tuple(
        msgspec.structs.replace(each, verified=True, former=None) if address_key(each) == key else each
        for each in addresses
    )
    if kind_of_address(wanted.channel) is not EMAIL:
        return known
    return tuple(
        msgspec.structs.replace(each, former=now) if _is_replaced(each, wanted.channel, key) else each
        for each in _put_first(known, wanted)
    )


def _is_replaced(address: Address, channel: str, key: str) -> bool:
    is_other = address.channel == channel and address_key(address) != key
    return is_other and state_of(address) is AddressState.VERIFIED


def choose_main(addresses: Sequence[Address], wanted: Address) -> tuple[Address, ...]:
    """The addresses, in which this one is the first of its channel, and no former one any more."""
    key = address_key(wanted)
    current = [msgspec.structs.replace(each, former=None) if address_key(each) == key else each for each in addresses]
    return _put_first(current, wanted)


def _put_first(addresses: Sequence[Address], wanted: Address) -> tuple[Address, ...]:
    """This one stands where the first of its channel stood; the others keep their order."""
    key = address_key(wanted)
    chosen = [each for each in addresses if address_key(each) == key]
    others = [each for each in addresses if address_key(each) != key]
    place = next((index for index, each in enumerate(others) if each.channel == wanted.channel), len(others))
    return (*others[:place], *chosen, *others[place:])


def remove_address(addresses: Iterable[Address], wanted: Address) -> tuple[Address, ...]:
    """The addresses without this one."""
    return tuple(each for each in addresses if address_key(each) != address_key(wanted))
