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
from schemas.documents import DocumentError, validate
from schemas.event import BadEvent, Event
from schemas.facts import Address, Preference
from schemas.times import DAY, Instant
from services.preference.document_form import FIELDS, document_of, parts_of
from services.preference.merge import (
    NEVER,
    Merged,
    Seen,
    merged_addresses,
    merged_traits,
    replaced_addresses,
    replaced_traits,
)

CHANGED = "tactful.preference.changed"
IDENTIFIED = "tactful.customer.identified"
TYPES = frozenset({CHANGED, IDENTIFIED})
"""The event types that change preferences. An erasure is none of them: its suppression silences, facts stay."""

IDENTIFYING = ("locale", "country", "zone", "traits", "addresses")
MOST_TRAITS = 200
MOST_ADDRESSES = 100
BLOCK = DAY
"""Microseconds for which a customer is left in peace after a change that cannot be read."""

_FORM = b"\x01"


class State(msgspec.Struct, frozen=True, array_like=True):
    """What is known of one customer, as of `preference.version`, and when each part of it was set.

    `times`: by field. `trait_times`: of traits merged later than their field was set, removed ones included.
    `address_times`: likewise of addresses, by `channel NUL address`. `blocked_until`: a change could
    not be read, so the customer counts as paused until then.
    """

    preference: Preference
    times: dict[str, Instant] = {}
    trait_times: dict[str, Instant] = {}
    address_times: dict[str, Seen] = {}
    blocked_until: Instant | None = None

    @property
    def customer(self) -> str:
        """The customer's id."""
        return self.preference.customer

    @property
    def version(self) -> int:
        """Goes up by one with each change; 0: nothing is known."""
        return self.preference.version


class Change(msgspec.Struct, frozen=True):
    """A checked change: fields to replace, and traits and addresses to merge, as of `at`."""

    at: Instant
    replace: dict[str, Any]
    traits: dict[str, Any] = {}
    addresses: tuple[Address, ...] = ()
    unblocks: bool = False


class _Outline(msgspec.Struct, frozen=True, array_like=True):
    """A state of which only the block is read."""

    preference: msgspec.Raw
    times: msgspec.Raw = msgspec.Raw()
    trait_times: msgspec.Raw = msgspec.Raw()
    address_times: msgspec.Raw = msgspec.Raw()
    blocked_until: Instant | None = None


_DECODER = msgspec.msgpack.Decoder(State)
_OUTLINE = msgspec.msgpack.Decoder(_Outline)
_ENCODER = msgspec.msgpack.Encoder()


def pack(state: State) -> bytes:
    """The state as bytes: one byte that tells the form, then msgpack."""
    return _FORM + _ENCODER.encode(state)


def unpack(packed: bytes) -> State:
    """The state of `pack`'s bytes. ValueError for another form."""
    if packed[:1] != _FORM:
        raise ValueError("a packed preference state of an unknown form")
    return _DECODER.decode(memoryview(packed)[1:])


def empty(customer: str) -> State:
    """Nothing known about the customer: version 0."""
    return State(Preference(customer))


def from_document(customer: Customer) -> State:
    """The state that a document describes. It has no time of its own: any change may replace any of its fields."""
    return State(Preference(customer=customer.customer, version=1, **parts_of(customer, FIELDS)))


def facts(state: State) -> Preference:
    """What rules may know. While blocked, the customer counts as paused: required topics alone stay open."""
    known, blocked = state.preference, state.blocked_until
    if blocked is None or (known.paused_until is not None and known.paused_until >= blocked):
        return known
    return msgspec.structs.replace(known, paused_until=blocked)


def packed_facts(packed: bytes) -> Preference | msgspec.Raw:
    """The facts of `pack`'s bytes, as they lie there unless a block changes them. ValueError for another form."""
    if packed[:1] != _FORM:
        raise ValueError("a packed preference state of an unknown form")
    outline = _OUTLINE.decode(memoryview(packed)[1:])
    return outline.preference if outline.blocked_until is None else facts(unpack(packed))


def document(state: State) -> dict[str, Any]:
    """The customer's document, all fields present, ready for JSON."""
    return document_of(state.preference)


def read_change(event: Event, data: Mapping[str, Any]) -> Change | None:
    """The change that the event asks for, or None when its type is not ours. BadEvent when any field is wrong."""
    if event.type == CHANGED:
        _refuse_misspelled(data)
        given = [name for name in FIELDS if name in data]
        if not given:
            raise BadEvent("/data", f"names no field of a customer's preferences, such as `opt_outs`: {CHANGED}")
        return Change(event.time, _checked(event, data, given), unblocks=True)
    if event.type != IDENTIFIED:
        return None
    plain = {name: value for name, value in data.items() if name != "traits"}
    given = [name for name in IDENTIFYING if name in plain]
    parts = _checked(event, plain, given)
    addresses = parts.pop("addresses", ())
    return Change(event.time, parts, traits=_traits(data.get("traits")), addresses=addresses)


def apply(state: State, event: Event, data: Mapping[str, Any]) -> State | None:
    """The state after the event, or None when it changes nothing. BadEvent when it cannot be taken; all or nothing.

    Whether the event was applied before is not told here: the caller knows what came.
    """
    change = read_change(event, data)
    return None if change is None else merge(state, change)


def merge(state: State, change: Change) -> State | None:
    """The state after the change, or None when later changes have set all of it. BadEvent when it grows too large."""
    parts = Merged.of(state.preference, state.times, state.trait_times, state.address_times)
    for name, value in change.replace.items():
        if change.at < parts.times.get(name, NEVER):
            continue
        if name == "traits":
            replaced_traits(parts, msgspec.json.decode(value), change.at)
        elif name == "addresses":
            replaced_addresses(parts, value, change.at)
        else:
            parts.fields[name] = value
        parts.times[name] = change.at
        parts.changed = True
    merged_traits(parts, change.traits, change.at)
    merged_addresses(parts, change.addresses, change.at)
    unblocked = change.unblocks and state.blocked_until is not None
    if not parts.changed and not unblocked:
        return None
    _bounded(parts)
    known = msgspec.structs.replace(state.preference, version=state.version + 1, **parts.values())
    blocked = None if change.unblocks else state.blocked_until
    return State(known, parts.times, parts.kept_trait_times(MOST_TRAITS), parts.address_times, blocked)


def patch(state: State, fields: Mapping[str, Any], at: Instant) -> State:
    """The state after a person set these document fields at `at`. Raises DocumentError.

    A person's word counts at once, even where an event claims a time that lies ahead of our clock.
    """
    checked = validate(Customer, {**fields, "customer": state.customer})
    parts = parts_of(checked, [name for name in FIELDS if name in fields])
    return set_parts(state, parts, at, unblocks=True)


def set_parts(state: State, parts: Mapping[str, Any], at: Instant, *, unblocks: bool = False) -> State:
    """As `patch`, with parts in the form of facts; without `unblocks` a block stays."""
    times = [state.times.get(name, NEVER) for name in parts]
    if "traits" in parts:
        times.extend(state.trait_times.values())
    if "addresses" in parts:
        times.extend(seen.last for seen in state.address_times.values())
    return merge(state, Change(max([at, *times]), dict(parts), unblocks=unblocks)) or state


def block(state: State, until: Instant) -> State:
    """The state after a change that cannot be read: paused until then."""
    known = msgspec.structs.replace(state.preference, version=state.version + 1)
    return msgspec.structs.replace(state, preference=known, blocked_until=max(until, state.blocked_until or NEVER))


def _checked(event: Event, data: Mapping[str, Any], given: list[str]) -> dict[str, Any]:
    named = data.get("customer", event.subject)
    if named != event.subject:
        raise BadEvent("/data/customer", "is not the event's `subject`: leave it out or make them agree")
    try:
        checked = validate(Customer, {"customer": event.subject, **{name: data[name] for name in given}})
    except DocumentError as error:
        pointer, _, detail = error.errors[0]
        raise BadEvent(f"/data{pointer}", detail) from None
    return parts_of(checked, given)


def _traits(traits: Any) -> dict[str, Any]:
    if traits is None:
        return {}
    if not isinstance(traits, dict):
        raise BadEvent("/data/traits", "must be an object of names and values")
    if len(traits) > MOST_TRAITS:
        raise BadEvent("/data/traits", f"more than {MOST_TRAITS} traits")
    return traits


def _refuse_misspelled(data: Mapping[str, Any]) -> None:
    """Unknown fields are ignored, but one that nearly has our name may be a lost opt-out."""
    for name in data:
        if name in FIELDS or name == "customer":
            continue
        close = difflib.get_close_matches(name.lower(), FIELDS, n=1, cutoff=0.8)
        if close:
            raise BadEvent(f"/data/{name}", f"unknown field `{name}`, did you mean `{close[0]}`?")


def _bounded(parts: Merged) -> None:
    if len(parts.traits) > MOST_TRAITS:
        raise BadEvent("/data/traits", f"the customer would have more than {MOST_TRAITS} traits")
    if len(parts.addresses) > MOST_ADDRESSES:
        raise BadEvent("/data/addresses", f"the customer would have more than {MOST_ADDRESSES} addresses")
