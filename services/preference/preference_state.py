"""A customer's preferences as one immutable value, and how events and people change it. Pure.

Every top-level field carries the time at which it was set; so does every trait and every address that an
identifying event merged. A change with an earlier time than its field's does nothing, so changes with distinct
times give the same values in whatever order they arrive.
"""

import difflib
from collections.abc import Mapping
from typing import Any

import msgspec

from schemas.customer import Customer
from schemas.documents import DocumentError, validate_document
from schemas.event import Event, InvalidEvent
from schemas.facts import Address, Preference
from schemas.times import DAY, Instant
from services.preference.document_form import FIELDS, fact_fields, preference_document
from services.preference.merge import (
    NEVER,
    AddressTimes,
    StateDraft,
    merge_addresses,
    merge_traits,
    replace_addresses,
    replace_traits,
)

PREFERENCE_CHANGED = "tactful.preference.changed"
CUSTOMER_IDENTIFIED = "tactful.customer.identified"
EVENT_TYPES = frozenset({PREFERENCE_CHANGED, CUSTOMER_IDENTIFIED})
"""The event types that change preferences. An erasure is none of them: its suppression silences, facts stay."""

IDENTITY_FIELDS = ("locale", "country", "zone", "traits", "addresses")
MAX_TRAITS = 200
MAX_ADDRESSES = 100
BLOCK_SPAN = DAY
"""Microseconds for which a customer is left in peace after a change that cannot be read."""

_FORMAT_VERSION = b"\x01"


class PreferenceState(msgspec.Struct, frozen=True, array_like=True):
    """What is known of one customer, as of `preference.version`, and when each part of it was set.

    `times`: by field. `trait_times`: of traits merged later than their field was set, removed ones included.
    `address_times`: likewise of addresses, by `channel NUL address`. `blocked_until`: a change could
    not be read, so the customer counts as paused until then.
    """

    preference: Preference
    times: dict[str, Instant] = {}
    trait_times: dict[str, Instant] = {}
    address_times: dict[str, AddressTimes] = {}
    blocked_until: Instant | None = None

    @property
    def customer(self) -> str:
        """The customer's id."""
        return self.preference.customer

    @property
    def version(self) -> int:
        """Goes up by one with each change; 0: nothing is known."""
        return self.preference.version


class PreferenceChange(msgspec.Struct, frozen=True):
    """A checked change: fields to replace, and traits and addresses to merge, as of `at`."""

    at: Instant
    replace: dict[str, Any]
    traits: dict[str, Any] = {}
    addresses: tuple[Address, ...] = ()
    unblocks: bool = False


class _PartialState(msgspec.Struct, frozen=True, array_like=True):
    """A state of which only the block is read."""

    preference: msgspec.Raw
    times: msgspec.Raw = msgspec.Raw()
    trait_times: msgspec.Raw = msgspec.Raw()
    address_times: msgspec.Raw = msgspec.Raw()
    blocked_until: Instant | None = None


_DECODER = msgspec.msgpack.Decoder(PreferenceState)
_PARTIAL_DECODER = msgspec.msgpack.Decoder(_PartialState)
_ENCODER = msgspec.msgpack.Encoder()


def pack(state: PreferenceState) -> bytes:
    """The state as bytes: one byte that tells the form, then msgpack."""
    return _FORMAT_VERSION + _ENCODER.encode(state)


def unpack(packed: bytes) -> PreferenceState:
    """The state of `pack`'s bytes. ValueError for another form."""
    if packed[:1] != _FORMAT_VERSION:
        raise ValueError("a packed preference state of an unknown form")
    return _DECODER.decode(memoryview(packed)[1:])


def empty_state(customer: str) -> PreferenceState:
    """Nothing known about the customer: version 0."""
    return PreferenceState(Preference(customer))


def from_document(customer: Customer) -> PreferenceState:
    """The state that a document describes. It has no time of its own: any change may replace any of its fields."""
    return PreferenceState(Preference(customer=customer.customer, version=1, **fact_fields(customer, FIELDS)))


def to_facts(state: PreferenceState) -> Preference:
    """What rules may know. While blocked, the customer counts as paused: required topics alone stay open."""
    preference, blocked = state.preference, state.blocked_until
    if blocked is None or (preference.paused_until is not None and preference.paused_until >= blocked):
        return preference
    return msgspec.structs.replace(preference, paused_until=blocked)


def read_packed_facts(packed: bytes) -> Preference | msgspec.Raw:
    """The facts of `pack`'s bytes, as they lie there unless a block changes them. ValueError for another form."""
    if packed[:1] != _FORMAT_VERSION:
        raise ValueError("a packed preference state of an unknown form")
    partial_state = _PARTIAL_DECODER.decode(memoryview(packed)[1:])
    return partial_state.preference if partial_state.blocked_until is None else to_facts(unpack(packed))


def state_document(state: PreferenceState) -> dict[str, Any]:
    """The customer's document, all fields present, ready for JSON."""
    return preference_document(state.preference)


def parse_change(event: Event, data: Mapping[str, Any]) -> PreferenceChange | None:
    """The change that the event asks for, or None when its type is not ours. BadEvent when any field is wrong."""
    if event.type == PREFERENCE_CHANGED:
        _reject_misspelled(data)
        given = [name for name in FIELDS if name in data]
        if not given:
            raise InvalidEvent(
                "/data", f"names no field of a customer's preferences, such as `opt_outs`: {PREFERENCE_CHANGED}"
            )
        return PreferenceChange(event.time, _validate_fields(event, data, given), unblocks=True)
    if event.type != CUSTOMER_IDENTIFIED:
        return None
    plain = {name: value for name, value in data.items() if name != "traits"}
    given = [name for name in IDENTITY_FIELDS if name in plain]
    parts = _validate_fields(event, plain, given)
    addresses = parts.pop("addresses", ())
    return PreferenceChange(event.time, parts, traits=_parse_traits(data.get("traits")), addresses=addresses)


def apply_event(state: PreferenceState, event: Event, data: Mapping[str, Any]) -> PreferenceState | None:
    """The state after the event, or None when it changes nothing. BadEvent when it cannot be taken; all or nothing.

    Whether the event was applied before is not told here: the caller knows what came.
    """
    change = parse_change(event, data)
    return None if change is None else apply_change(state, change)


def apply_change(state: PreferenceState, change: PreferenceChange) -> PreferenceState | None:
    """The state after the change, or None when later changes have set all of it. BadEvent when it grows too large."""
    parts = StateDraft.copy_of(state.preference, state.times, state.trait_times, state.address_times)
    for name, value in change.replace.items():
        if change.at < parts.times.get(name, NEVER):
            continue
        if name == "traits":
            replace_traits(parts, msgspec.json.decode(value), change.at)
        elif name == "addresses":
            replace_addresses(parts, value, change.at)
        else:
            parts.fields[name] = value
        parts.times[name] = change.at
        parts.changed = True
    merge_traits(parts, change.traits, change.at)
    merge_addresses(parts, change.addresses, change.at)
    unblocked = change.unblocks and state.blocked_until is not None
    if not parts.changed and not unblocked:
        return None
    _check_size(parts)
    preference = msgspec.structs.replace(state.preference, version=state.version + 1, **parts.fact_fields())
    blocked = None if change.unblocks else state.blocked_until
    return PreferenceState(preference, parts.times, parts.prune_trait_times(MAX_TRAITS), parts.address_times, blocked)


def apply_patch(state: PreferenceState, fields: Mapping[str, Any], at: Instant) -> PreferenceState:
    """The state after a person set these document fields at `at`. Raises DocumentError.

    A person's word counts at once, even where an event claims a time that lies ahead of our clock.
    """
    checked = validate_document(Customer, {**fields, "customer": state.customer})
    parts = fact_fields(checked, [name for name in FIELDS if name in fields])
    return set_fields(state, parts, at, unblocks=True)


def set_fields(
    state: PreferenceState, parts: Mapping[str, Any], at: Instant, *, unblocks: bool = False
) -> PreferenceState:
    """As `patch`, with parts in the form of facts; without `unblocks` a block stays."""
    times = [state.times.get(name, NEVER) for name in parts]
    if "traits" in parts:
        times.extend(state.trait_times.values())
    if "addresses" in parts:
        times.extend(seen.last for seen in state.address_times.values())
    return apply_change(state, PreferenceChange(max([at, *times]), dict(parts), unblocks=unblocks)) or state


def block_until(state: PreferenceState, until: Instant) -> PreferenceState:
    """The state after a change that cannot be read: paused until then."""
    preference = msgspec.structs.replace(state.preference, version=state.version + 1)
    return msgspec.structs.replace(state, preference=preference, blocked_until=max(until, state.blocked_until or NEVER))


def _validate_fields(event: Event, data: Mapping[str, Any], given: list[str]) -> dict[str, Any]:
    named = data.get("customer", event.subject)
    if named != event.subject:
        raise InvalidEvent("/data/customer", "is not the event's `subject`: leave it out or make them agree")
    try:
        checked = validate_document(Customer, {"customer": event.subject, **{name: data[name] for name in given}})
    except DocumentError as error:
        pointer, _, detail = error.errors[0]
        raise InvalidEvent(f"/data{pointer}", detail) from None
    return fact_fields(checked, given)


def _parse_traits(traits: Any) -> dict[str, Any]:
    if traits is None:
        return {}
    if not isinstance(traits, dict):
        raise InvalidEvent("/data/traits", "must be an object of names and values")
    if len(traits) > MAX_TRAITS:
        raise InvalidEvent("/data/traits", f"more than {MAX_TRAITS} traits")
    return traits


def _reject_misspelled(data: Mapping[str, Any]) -> None:
    """Unknown fields are ignored, but one that nearly has our name may be a lost opt-out."""
    for name in data:
        if name in FIELDS or name == "customer":
            continue
        similar = difflib.get_close_matches(name.lower(), FIELDS, n=1, cutoff=0.8)
        if similar:
            raise InvalidEvent(f"/data/{name}", f"unknown field `{name}`, did you mean `{similar[0]}`?")


def _check_size(parts: StateDraft) -> None:
    if len(parts.traits) > MAX_TRAITS:
        raise InvalidEvent("/data/traits", f"the customer would have more than {MAX_TRAITS} traits")
    if len(parts.addresses) > MAX_ADDRESSES:
        raise InvalidEvent("/data/addresses", f"the customer would have more than {MAX_ADDRESSES} addresses")
