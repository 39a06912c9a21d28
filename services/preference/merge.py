"""Merging traits and addresses by their own times. Pure; used by `state` alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from schemas.facts import Address, Preference
from schemas.ids import normalise_address
from schemas.times import Instant

NEVER: Instant = -(2**63)
"""Before every instant: the time of what no change has set."""


@dataclass(slots=True)
class Merged:
    """The parts of a state while one change is worked in. `changed`: something took effect."""

    times: dict[str, Instant]
    traits: dict[str, Any]
    trait_times: dict[str, Instant]
    addresses: list[Address]
    address_times: dict[str, tuple[Instant, Instant]]
    traits_before: bytes
    fields: dict[str, Any] = field(default_factory=dict)
    touched_traits: bool = False
    changed: bool = False

    @classmethod
    def of(
        cls,
        known: Preference,
        times: Mapping[str, Instant],
        trait_times: Mapping[str, Instant],
        address_times: Mapping[str, tuple[Instant, Instant]],
    ) -> Merged:
        """Copies to work on."""
        traits = msgspec.json.decode(known.traits)
        return cls(dict(times), traits, dict(trait_times), list(known.addresses), dict(address_times), known.traits)

    def values(self) -> dict[str, Any]:
        """All fields that may have changed, in the form of facts."""
        traits = msgspec.json.encode(self.traits) if self.touched_traits else self.traits_before
        return {**self.fields, "traits": traits, "addresses": tuple(self.addresses)}

    def kept_trait_times(self, removed: int) -> dict[str, Instant]:
        """The traits' own times, with those of the last `removed` removed ones."""
        gone = sorted((name for name in self.trait_times if name not in self.traits), key=self.trait_times.__getitem__)
        for name in gone[: max(0, len(gone) - removed)]:
            del self.trait_times[name]
        return self.trait_times


def address_key(address: Address) -> str:
    """What makes two entries the same address."""
    return f"{address.channel}\0{normalise_address(address.channel, address.address)}"


def replaced_traits(parts: Merged, traits: Mapping[str, Any], at: Instant) -> None:
    """All traits become these, except those that were merged at a later time."""
    later = {name: own for name, own in parts.trait_times.items() if own > at}
    kept = {name: parts.traits[name] for name in later if name in parts.traits}
    parts.traits = {name: value for name, value in traits.items() if name not in later} | kept
    parts.trait_times = later
    parts.touched_traits = True


def merged_traits(parts: Merged, traits: Mapping[str, Any], at: Instant) -> None:
    """Each of these traits replaces its namesake unless that was set later; None removes it."""
    base = parts.times.get("traits", NEVER)
    for name, value in traits.items():
        if at < max(base, parts.trait_times.get(name, NEVER)):
            continue
        parts.trait_times[name] = at
        if value is None:
            parts.traits.pop(name, None)
        else:
            parts.traits[name] = value
        parts.touched_traits = parts.changed = True


def replaced_addresses(parts: Merged, addresses: Sequence[Address], at: Instant) -> None:
    """All addresses become these, in this order, except those that were merged at a later time."""
    times = {key: own for key, own in parts.address_times.items() if own[1] > at}
    later = {address_key(address): address for address in parts.addresses if address_key(address) in times}
    listed = {address_key(address) for address in addresses}
    parts.address_times = {
        key: (NEVER if key in listed else first if first > at else last, last) for key, (first, last) in times.items()
    }
    parts.addresses = [later.get(address_key(address), address) for address in addresses]
    parts.addresses += [address for key, address in later.items() if key not in listed]
    _in_order(parts)


def merged_addresses(parts: Merged, addresses: Sequence[Address], at: Instant) -> None:
    """Each of these addresses replaces its like in place, or is added, unless it was set later."""
    if at < parts.times.get("addresses", NEVER):
        return
    for address in addresses:
        key = address_key(address)
        places = [place for place, known in enumerate(parts.addresses) if address_key(known) == key]
        first, last = parts.address_times.get(key, (NEVER if places else at, NEVER))
        parts.address_times[key] = (min(first, at), max(last, at))
        parts.changed = True
        if at < last:
            continue
        if places:
            parts.addresses[places[0]] = address
            for place in reversed(places[1:]):
                del parts.addresses[place]
        else:
            parts.addresses.append(address)
    _in_order(parts)


def _in_order(parts: Merged) -> None:
    """Listed addresses first, as listed; then the merged ones by the time at which they were first seen."""
    parts.addresses.sort(key=lambda address: parts.address_times.get(address_key(address), (NEVER, NEVER))[0])
