"""Merging traits and addresses by their own times. Pure; used by `state` alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec

from schemas.facts import Address, Preference
from schemas.ids import normalise_address
from schemas.times import Instant

NEVER: Instant = -(2**63)
"""Before every instant: the time of what no change has set."""


class Seen(NamedTuple):
    """When a merged address first came, at which place of its event, and when it was last set."""

    first: Instant
    place: int
    last: Instant


_LISTED = Seen(NEVER, 0, NEVER)


@dataclass(slots=True)
class Merged:
    """The parts of a state while one change is worked in. `changed`: something took effect."""

    times: dict[str, Instant]
    traits: dict[str, Any]
    trait_times: dict[str, Instant]
    addresses: list[Address]
    address_times: dict[str, Seen]
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
        address_times: Mapping[str, Seen],
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
    times = {key: seen for key, seen in parts.address_times.items() if seen.last > at}
    later = {address_key(address): address for address in parts.addresses if address_key(address) in times}
    listed = {address_key(address) for address in addresses}
    for key, seen in times.items():
        if key in listed:
            times[key] = _LISTED._replace(last=seen.last)
        elif seen.first <= at:
            times[key] = seen._replace(first=seen.last)
    parts.address_times = times
    parts.addresses = [later.get(address_key(address), address) for address in addresses]
    parts.addresses += [address for key, address in later.items() if key not in listed]
    _in_order(parts)


def merged_addresses(parts: Merged, addresses: Sequence[Address], at: Instant) -> None:
    """Each of these addresses replaces its like in place, or is added, unless it was set later."""
    if at < parts.times.get("addresses", NEVER):
        return
    for place, address in enumerate(addresses):
        key = address_key(address)
        known = [number for number, entry in enumerate(parts.addresses) if address_key(entry) == key]
        seen = parts.address_times.get(key, _LISTED if known else Seen(at, place, NEVER))
        first = min((seen.first, seen.place), (at, place))
        parts.address_times[key] = Seen(*first, max(seen.last, at))
        parts.changed = True
        if at < seen.last:
            continue
        if known:
            parts.addresses[known[0]] = address
            for number in reversed(known[1:]):
                del parts.addresses[number]
        else:
            parts.addresses.append(address)
    _in_order(parts)


def _in_order(parts: Merged) -> None:
    """Listed addresses first, as listed; then the merged ones by when and at which place they first came."""
    parts.addresses.sort(key=lambda address: parts.address_times.get(address_key(address), _LISTED)[:2])
