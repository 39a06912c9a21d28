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


class AddressTimes(NamedTuple):
    """When a merged address first came, at which place of its event, and when it was last set."""

    first: Instant
    place: int
    last: Instant


_LISTED_TIMES = AddressTimes(NEVER, 0, NEVER)


@dataclass(slots=True)
class StateDraft:
    """The parts of a state while one change is worked in. `changed`: something took effect."""

    times: dict[str, Instant]
    traits: dict[str, Any]
    trait_times: dict[str, Instant]
    addresses: list[Address]
    address_times: dict[str, AddressTimes]
    original_traits: bytes
    fields: dict[str, Any] = field(default_factory=dict)
    traits_changed: bool = False
    changed: bool = False

    @classmethod
    def copy_of(
        cls,
        known: Preference,
        times: Mapping[str, Instant],
        trait_times: Mapping[str, Instant],
        address_times: Mapping[str, AddressTimes],
    ) -> StateDraft:
        """Copies to work on."""
        traits = msgspec.json.decode(known.traits)
        return cls(dict(times), traits, dict(trait_times), list(known.addresses), dict(address_times), known.traits)

    def fact_fields(self) -> dict[str, Any]:
        """All fields that may have changed, in the form of facts."""
        traits = msgspec.json.encode(self.traits) if self.traits_changed else self.original_traits
        return {**self.fields, "traits": traits, "addresses": tuple(self.addresses)}

    def prune_trait_times(self, max_removed: int) -> dict[str, Instant]:
        """The traits' own times, with those of the last `removed` removed ones."""
        removed_names = sorted(
            (name for name in self.trait_times if name not in self.traits), key=self.trait_times.__getitem__
        )
        for name in removed_names[: max(0, len(removed_names) - max_removed)]:
            del self.trait_times[name]
        return self.trait_times


def address_key(address: Address) -> str:
    """What makes two entries the same address."""
    return f"{address.channel}\0{normalise_address(address.channel, address.address)}"


def replace_traits(draft: StateDraft, traits: Mapping[str, Any], at: Instant) -> None:
    """All traits become these, except those that were merged at a later time."""
    later = {name: set_at for name, set_at in draft.trait_times.items() if set_at > at}
    kept = {name: draft.traits[name] for name in later if name in draft.traits}
    draft.traits = {name: value for name, value in traits.items() if name not in later} | kept
    draft.trait_times = later
    draft.traits_changed = True


def merge_traits(draft: StateDraft, traits: Mapping[str, Any], at: Instant) -> None:
    """Each of these traits replaces its namesake unless that was set later; None removes it."""
    base = draft.times.get("traits", NEVER)
    for name, value in traits.items():
        if at < max(base, draft.trait_times.get(name, NEVER)):
            continue
        draft.trait_times[name] = at
        if value is None:
            draft.traits.pop(name, None)
        else:
            draft.traits[name] = value
        draft.traits_changed = draft.changed = True


def replace_addresses(draft: StateDraft, addresses: Sequence[Address], at: Instant) -> None:
    """All addresses become these, in this order, except those that were merged at a later time."""
    times = {key: entry_times for key, entry_times in draft.address_times.items() if entry_times.last > at}
    later = {address_key(address): address for address in draft.addresses if address_key(address) in times}
    listed = {address_key(address) for address in addresses}
    for key, entry_times in times.items():
        if key in listed:
            times[key] = _LISTED_TIMES._replace(last=entry_times.last)
        elif entry_times.first <= at:
            times[key] = entry_times._replace(first=entry_times.last)
    draft.address_times = times
    draft.addresses = [later.get(address_key(address), address) for address in addresses]
    draft.addresses += [address for key, address in later.items() if key not in listed]
    _sort_addresses(draft)


def merge_addresses(draft: StateDraft, addresses: Sequence[Address], at: Instant) -> None:
    """Each of these addresses replaces its like in place, or is added, unless it was set later."""
    if at < draft.times.get("addresses", NEVER):
        return
    for position, address in enumerate(addresses):
        key = address_key(address)
        known = [index for index, entry in enumerate(draft.addresses) if address_key(entry) == key]
        entry_times = draft.address_times.get(key, _LISTED_TIMES if known else AddressTimes(at, position, NEVER))
        first = min((entry_times.first, entry_times.place), (at, position))
        draft.address_times[key] = AddressTimes(*first, max(entry_times.last, at))
        draft.changed = True
        if at < entry_times.last:
            continue
        if known:
            draft.addresses[known[0]] = address
            for index in reversed(known[1:]):
                del draft.addresses[index]
        else:
            draft.addresses.append(address)
    _sort_addresses(draft)


def _sort_addresses(draft: StateDraft) -> None:
    """Listed addresses first, as listed; then the merged ones by when and at which place they first came."""
    draft.addresses.sort(key=lambda address: draft.address_times.get(address_key(address), _LISTED_TIMES)[:2])
