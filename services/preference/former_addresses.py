"""Which e-mail addresses are former ones: another has taken their place, and no message goes to them any more. Pure.

Whoever gives a new mailbox has left the old one. So of the verified e-mail addresses of a customer, those are current
that one event has given last, and the ones before are former since then. That follows from what the addresses are and
when each was last set, whatever the order in which changes arrived. A list says itself which of its addresses are
former, and an event that repeats one of them changes nothing about that: a shop goes on telling the mailbox that it
knows, long after the customer has given and verified another one here.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Final

import msgspec

from schemas.address_kinds import EMAIL
from schemas.addresses import kind_of_address
from schemas.facts import Address
from schemas.times import Instant

_NEVER: Final[Instant] = -(2**63)


def mark_former(
    addresses: Iterable[Address],
    key_of: Callable[[Address], str],
    last_set: Mapping[str, Instant],
    given: Mapping[str, Instant],
) -> list[Address]:
    """The addresses, each with the instant since which it is a former one, or None.

    `last_set`: when those that events alone have given were last set, by key. `given`: what the list says
    of those that it has.
    """
    every = [(address, last_set.get(key_of(address), _NEVER)) for address in addresses]
    newest: dict[str, Instant] = {}
    for address, at in every:
        if _counts(address) and key_of(address) not in given:
            newest[address.channel] = max(newest.get(address.channel, _NEVER), at)
    marked: list[Address] = []
    for address, at in every:
        successor = newest.get(address.channel, _NEVER)
        former = successor if _counts(address) and at < successor else given.get(key_of(address))
        marked.append(address if former == address.former else msgspec.structs.replace(address, former=former))
    return marked


def _counts(address: Address) -> bool:
    return address.verified and address.problem is None and kind_of_address(address.channel) is EMAIL
