"""A customer's preferences as one immutable value, and how events and people change it. Pure.

Conflict resolution is last-writer-wins by event time, per field: every top-level field has the time at which it was
set, and so has every trait and address that an identifying event merged. A change to a field that was set later does
nothing. So changes with distinct times lead to the same values in whatever order they arrive; except that spellings of
a number which were one address in the customer's country then stay one when the country changes.

Addresses are kept as given, with the canonical form that they have in the customer's country (`schemas/addresses.py`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec

from schemas.addresses import comparable_form, find_unusable, with_canonical_form
from schemas.customer import Customer
from schemas.documents import DocumentError, validate_document
from schemas.event import Event, InvalidEvent
from schemas.facts import Address, Preference, Quarantine
from schemas.own_events import CUSTOMER_IDENTIFIED, PREFERENCE_CHANGED, CheckedData
from schemas.quarantine import QUARANTINE_SPAN, LogPosition, begin_quarantine, end_quarantine, unknown_record
from schemas.times import Instant
from services.preference.consents.consent_terms import DEFAULT_TERMS, ConsentTerms
from services.preference.document_form import FIELDS, fact_fields, preference_document
from services.preference.former_addresses import mark_former

EVENT_TYPES = frozenset({PREFERENCE_CHANGED, CUSTOMER_IDENTIFIED})
"""The event types that change preferences. Erasure is not one of them: it adds a suppression, preferences stay."""

MAX_TRAITS = 200
MAX_TRAIT_BYTES = 64 * 1024
"""Bytes of all traits of a customer as JSON. Each decision reads them, and a batch has them of every customer in it."""
MAX_ADDRESSES = 100
_FORMAT_VERSION = b"\x01"
_NOT_READ = "?"
"""The region of a state that an earlier version has packed: its addresses have no canonical forms yet."""


NEVER: Instant = -(2**63)
"""Before every instant: the time of a field that no change has set."""


class AddressTimes(NamedTuple):
    """When a merged address first arrived, its index in that event, and when it was last set."""

    first: Instant
    place: int
    last: Instant


_LISTED_TIMES = AddressTimes(NEVER, 0, NEVER)


class PreferenceState(msgspec.Struct, frozen=True, array_like=True):
    """What is known of one customer, as of `preference.version`, and when each part of it was set.

    `times`: per field. `trait_times`: of traits that were merged after the field was set, including removed ones.
    `address_times`: the same for addresses, by `channel NUL address`. `region`: the organisation's country, in which
    addresses of a customer without a country of their own are read. Stored as an array: fields keep their order, new
    ones go to the end. `given_former`: of addresses that their list calls former ones, since when.
    `blocked_until` is of the version before quarantines, and None once a state is unpacked.
    """

    preference: Preference
    times: dict[str, Instant] = {}
    trait_times: dict[str, Instant] = {}
    address_times: dict[str, AddressTimes] = {}
    blocked_until: Instant | None = None
    region: str | None = _NOT_READ
    given_former: dict[str, Instant] = {}

    @property
    def customer(self) -> str:
        """The customer's id."""
        return self.preference.customer

    @property
    def version(self) -> int:
        """Incremented by each change; 0: nothing is known."""
        return self.preference.version


class PreferenceChange(msgspec.Struct, frozen=True):
    """A validated change: fields to replace, entries of fields to add, traits and addresses to merge, as of `at`."""

    at: Instant
    replace: dict[str, Any]
    traits: dict[str, Any] = {}
    addresses: tuple[Address, ...] = ()
    add: dict[str, tuple[Any, ...]] = {}


class _PartialState(msgspec.Struct, frozen=True, array_like=True):
    """A packed state of which only the block of the version before, and the region, are decoded."""

    preference: msgspec.Raw
    times: msgspec.Raw = msgspec.Raw()
    trait_times: msgspec.Raw = msgspec.Raw()
    address_times: msgspec.Raw = msgspec.Raw()
    blocked_until: Instant | None = None
    region: str | None = _NOT_READ


_DECODER = msgspec.msgpack.Decoder(PreferenceState)
_PARTIAL_DECODER = msgspec.msgpack.Decoder(_PartialState)
_ENCODER = msgspec.msgpack.Encoder()


def pack(state: PreferenceState) -> bytes:
    """The state as bytes: one byte for the version of the format, then MessagePack."""
    return _FORMAT_VERSION + _ENCODER.encode(state)


def unpack(packed: bytes, region: str | None) -> PreferenceState:
    """The state that `pack` encoded, its addresses read in `region` where the customer has no country.

    Raises ValueError for another version of the format.
    """
    if packed[:1] != _FORMAT_VERSION:
        raise ValueError("a packed preference state of an unknown format")
    state = _DECODER.decode(memoryview(packed)[1:])
    if state.blocked_until is not None:
        state = _convert_block(state, state.blocked_until)
    return state if state.region == region else with_region(state, region)


def _convert_block(state: PreferenceState, until: Instant) -> PreferenceState:
    """A state of the version before, whose customer counted as paused after a change that could not be read."""
    quarantines = (unknown_record(until - QUARANTINE_SPAN, until),)
    preference = msgspec.structs.replace(state.preference, quarantines=quarantines)
    return msgspec.structs.replace(state, preference=preference, blocked_until=None)


def is_read_in(packed: bytes, region: str | None) -> bool:
    """Whether the canonical forms of the packed addresses are those that `unpack` would make."""
    return _PARTIAL_DECODER.decode(memoryview(packed)[1:]).region == region


def empty_state(customer: str, region: str | None = None) -> PreferenceState:
    """Nothing known about the customer: version 0. `region`: the organisation's country."""
    return PreferenceState(Preference(customer), region=region)


def from_document(customer: Customer, region: str | None = None) -> PreferenceState:
    """The state that a document describes. Its fields have no times: any change may replace any of them."""
    fields = DEFAULT_TERMS.complete(fact_fields(customer, FIELDS))
    known = Preference(customer=customer.customer, version=1, **fields)
    return as_listed(known, region)


def as_listed(known: Preference, region: str | None) -> PreferenceState:
    """The state of these preferences, as if one list had said all of them."""
    given_former = {address_key(each): each.former for each in known.addresses if each.former is not None}
    return with_region(PreferenceState(known, given_former=given_former), region)


def with_region(state: PreferenceState, region: str | None) -> PreferenceState:
    """The same state with the canonical forms that its addresses have when `region` is the organisation's country."""
    draft = StateDraft.copy_of(state)
    recanonicalise_addresses(draft, state.preference.country or region)
    preference = msgspec.structs.replace(state.preference, addresses=tuple(draft.addresses))
    changed = {"address_times": draft.address_times, "given_former": draft.given_former, "region": region}
    return msgspec.structs.replace(state, preference=preference, **changed)


def to_facts(state: PreferenceState) -> Preference:
    """The facts for the rules."""
    return state.preference


def read_packed_facts(packed: bytes, region: str | None) -> Preference | msgspec.Raw:
    """The facts of a packed state, as of `unpack`. Raises ValueError for another version of the format.

    This is the hot path of every decision: unless another region changes the facts, their bytes are copied undecoded.
    """
    if packed[:1] != _FORMAT_VERSION:
        raise ValueError("a packed preference state of an unknown format")
    partial_state = _PARTIAL_DECODER.decode(memoryview(packed)[1:])
    is_current = partial_state.blocked_until is None and partial_state.region == region
    return partial_state.preference if is_current else to_facts(unpack(packed, region))


def state_document(state: PreferenceState) -> dict[str, Any]:
    """The customer's document, all fields present, ready for JSON."""
    return preference_document(state.preference)


def to_change(event: Event, checked: CheckedData, terms: ConsentTerms = DEFAULT_TERMS) -> PreferenceChange | None:
    """The change that the good parts of the event ask for, or None when they ask for none. Consents that need an end
    get one by `terms`.
    """
    if event.type not in EVENT_TYPES or checked.customer is None:
        return None
    parts = terms.complete(fact_fields(checked.customer, checked.given))
    if event.type == PREFERENCE_CHANGED:
        added = {name: parts.pop(name) for name in checked.added if name in parts}
        return PreferenceChange(event.time, parts, add=added) if parts or added else None
    traits = msgspec.json.decode(parts.pop("traits", b"{}"))
    addresses = parts.pop("addresses", ())
    return PreferenceChange(event.time, parts, traits=traits, addresses=addresses)


def apply_change(state: PreferenceState, change: PreferenceChange) -> PreferenceState | None:
    """The state after the change, or None when later changes have set all of it. Raises InvalidEvent over a limit."""
    parts = StateDraft.copy_of(state)
    taken = {name: value for name, value in change.replace.items() if change.at >= parts.times.get(name, NEVER)}
    country = taken.get("country", state.preference.country)
    if country != state.preference.country:
        recanonicalise_addresses(parts, country or state.region)
    for name, value in taken.items():
        if name == "traits":
            replace_traits(parts, msgspec.json.decode(value), change.at)
        elif name == "addresses":
            replace_addresses(parts, _canonical_forms(value, country or state.region), change.at)
        else:
            parts.fields[name] = value
        parts.times[name] = change.at
        parts.changed = True
    add_entries(parts, state.preference, change)
    merge_traits(parts, change.traits, change.at)
    merge_addresses(parts, _canonical_forms(change.addresses, country or state.region), change.at)
    if not parts.changed:
        return None
    settle_former(parts)
    _check_size(parts, state.preference)
    preference = msgspec.structs.replace(state.preference, version=state.version + 1, **parts.fact_fields())
    trait_times = parts.prune_trait_times(MAX_TRAITS)
    times = (parts.times, trait_times, parts.address_times)
    return PreferenceState(preference, *times, region=state.region, given_former=parts.given_former)


def without_excess(change: PreferenceChange, pointers: Collection[str]) -> PreferenceChange:
    """The change without what has exceeded a limit: its traits, its addresses, or both."""
    return msgspec.structs.replace(
        change,
        traits={} if "/data/traits" in pointers else change.traits,
        addresses=() if "/data/addresses" in pointers else change.addresses,
    )


def apply_patch(
    state: PreferenceState, fields: Mapping[str, Any], at: Instant, terms: ConsentTerms = DEFAULT_TERMS
) -> PreferenceState:
    """The state after a person set these document fields at `at`. Raises DocumentError.

    A person's change takes effect at once, even over an event whose time is ahead of our clock. An address that cannot
    be used is refused, unless the customer has it already.
    """
    checked = validate_document(Customer, {**fields, "customer": state.customer})
    parts = terms.complete(fact_fields(checked, [name for name in FIELDS if name in fields]))
    country = parts.get("country", state.preference.country)
    _refuse_unusable(state.preference.addresses, parts.get("addresses", ()), country or state.region)
    return set_fields(state, parts, at)


def _refuse_unusable(known: Sequence[Address], given: Sequence[Address], region: str | None) -> None:
    kept = {(address.channel, address.address) for address in known if address.problem is not None}
    pairs = [(address.channel, address.address) for address in given]
    errors = [
        (f"/addresses/{unusable.position}/address", unusable.code, unusable.detail)
        for unusable in find_unusable(pairs, region)
        if pairs[unusable.position] not in kept
    ]
    if errors:
        raise DocumentError(errors)


def set_fields(state: PreferenceState, parts: Mapping[str, Any], at: Instant) -> PreferenceState:
    """As `apply_patch`, with values in the form of facts."""
    times = [state.times.get(name, NEVER) for name in parts]
    if "traits" in parts:
        times.extend(state.trait_times.values())
    if "addresses" in parts:
        times.extend(seen.last for seen in state.address_times.values())
    return apply_change(state, PreferenceChange(max([at, *times]), dict(parts))) or state


def quarantine(state: PreferenceState, position: LogPosition, now: Instant) -> PreferenceState:
    """The state after a record that could not be read: it may have been an opt-out or the end of a consent."""
    return _with_quarantines(state, begin_quarantine(state.preference.quarantines, position, now))


def release(state: PreferenceState, position: LogPosition) -> PreferenceState:
    """The state once the dead letter of a record is closed; the same object when no quarantine rests on it."""
    return _with_quarantines(state, end_quarantine(state.preference.quarantines, position))


def _with_quarantines(state: PreferenceState, quarantines: tuple[Quarantine, ...]) -> PreferenceState:
    if quarantines is state.preference.quarantines:
        return state
    preference = msgspec.structs.replace(state.preference, version=state.version + 1, quarantines=quarantines)
    return msgspec.structs.replace(state, preference=preference)


@dataclass(slots=True)
class StateDraft:
    """A mutable copy of a state while one change is applied. `changed`: something took effect."""

    times: dict[str, Instant]
    traits: dict[str, Any]
    trait_times: dict[str, Instant]
    addresses: list[Address]
    address_times: dict[str, AddressTimes]
    original_traits: bytes
    given_former: dict[str, Instant] = field(default_factory=dict)
    fields: dict[str, Any] = field(default_factory=dict)
    traits_changed: bool = False
    changed: bool = False

    @classmethod
    def copy_of(cls, state: PreferenceState) -> StateDraft:
        """A draft that shares nothing with the state."""
        known = state.preference
        return cls(
            dict(state.times),
            msgspec.json.decode(known.traits),
            dict(state.trait_times),
            list(known.addresses),
            dict(state.address_times),
            known.traits,
            dict(state.given_former),
        )

    def fact_fields(self) -> dict[str, Any]:
        """All fields that may have changed, in the form of facts."""
        traits = msgspec.json.encode(self.traits) if self.traits_changed else self.original_traits
        return {**self.fields, "traits": traits, "addresses": tuple(self.addresses)}

    def prune_trait_times(self, max_removed: int) -> dict[str, Instant]:
        """The times of traits; of removed traits only the `max_removed` latest, so that they cannot pile up."""
        removed_names = sorted(
            (name for name in self.trait_times if name not in self.traits), key=self.trait_times.__getitem__
        )
        for name in removed_names[: max(0, len(removed_names) - max_removed)]:
            del self.trait_times[name]
        return self.trait_times


def address_key(address: Address) -> str:
    """What makes two entries the same address."""
    return f"{address.channel}\0{comparable_form(address.channel, address.canonical_form)}"


def recanonicalise_addresses(draft: StateDraft, region: str | None) -> None:
    """Make all canonical forms anew, in another country. Of merged addresses that become one, the last set stays."""
    entries: dict[str, list[tuple[int, AddressTimes, Address]]] = {}
    for index, address in enumerate(draft.addresses):
        times = draft.address_times.get(address_key(address), _LISTED_TIMES)
        address = with_canonical_form(address, region)
        entries.setdefault(address_key(address), []).append((index, times, address))
    given = [draft.given_former.get(address_key(address)) for address in draft.addresses]
    kept: list[tuple[int, Address]] = []
    draft.address_times = {}
    for key, same in entries.items():
        if all(times == _LISTED_TIMES for _, times, _ in same):
            kept.extend((index, address) for index, _, address in same)
            continue
        first = min(times[:2] for _, times, _ in same)
        index, times, address = max(same, key=lambda entry: (entry[1].last, entry[2].verified, -entry[0]))
        draft.address_times[key] = AddressTimes(*first, times.last)
        kept.append((index, address))
    draft.addresses = [address for _, address in sorted(kept, key=lambda entry: entry[0])]
    draft.given_former = {address_key(each): since for index, each in kept if (since := given[index]) is not None}
    _sort_addresses(draft)
    settle_former(draft)


def settle_former(draft: StateDraft) -> None:
    """Mark those addresses as former ones whose place others have taken."""
    last_set = {key: times.last for key, times in draft.address_times.items() if times.first != NEVER}
    draft.addresses = mark_former(draft.addresses, address_key, last_set, draft.given_former)


def _canonical_forms(addresses: Sequence[Address], region: str | None) -> list[Address]:
    return [with_canonical_form(address, region) for address in addresses]


def replace_traits(draft: StateDraft, traits: Mapping[str, Any], at: Instant) -> None:
    """All traits become these, except those that were merged at a later time."""
    later = {name: set_at for name, set_at in draft.trait_times.items() if set_at > at}
    kept = {name: draft.traits[name] for name in later if name in draft.traits}
    draft.traits = {name: value for name, value in traits.items() if name not in later} | kept
    draft.trait_times = later
    draft.traits_changed = True


def add_entries(draft: StateDraft, known: Preference, change: PreferenceChange) -> None:
    """The entries join those that are there, unless the field was set later. The field keeps its time."""
    for name, entries in change.add.items():
        present: tuple[Any, ...] = draft.fields.get(name, getattr(known, name))
        new = tuple(entry for entry in entries if entry not in present)
        if new and change.at >= draft.times.get(name, NEVER):
            draft.fields[name] = (*present, *new)
            draft.changed = True


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
    draft.given_former = {address_key(each): each.former for each in addresses if each.former is not None}
    draft.addresses = [later.get(address_key(address), address) for address in addresses]
    draft.addresses += [address for key, address in later.items() if key not in listed]
    _sort_addresses(draft)


def merge_addresses(draft: StateDraft, addresses: Sequence[Address], at: Instant) -> None:
    """Each of these addresses replaces the same address in place, or is added, unless that was set later."""
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
    """Addresses of a whole list first, in its order; then the merged ones by first arrival and index in that event."""
    draft.addresses.sort(key=lambda address: draft.address_times.get(address_key(address), _LISTED_TIMES)[:2])


def _check_size(parts: StateDraft, before: Preference) -> None:
    """Raises InvalidEvent over a limit. What an earlier version has let grow beyond it may stay, and become less."""
    if len(parts.traits) > MAX_TRAITS:
        raise InvalidEvent("/data/traits", f"the customer would have more than {MAX_TRAITS} traits")
    if parts.traits_changed:
        size = len(msgspec.json.encode(parts.traits))
        if size > MAX_TRAIT_BYTES and size > len(before.traits):
            detail = f"the traits of the customer would have {size} bytes of JSON; at most {MAX_TRAIT_BYTES} are kept"
            raise InvalidEvent("/data/traits", detail)
    if len(parts.addresses) > MAX_ADDRESSES:
        raise InvalidEvent("/data/addresses", f"the customer would have more than {MAX_ADDRESSES} addresses")
