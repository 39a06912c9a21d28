"""What speaks against speaking to one customer, as one pure value: packed in the database, plain in simulations."""

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from schemas.event import Event
from schemas.facts import Entry, HoldFact, Scope, Situation, Suppressions
from schemas.ids import normalise_address
from schemas.suppression import Suppression
from schemas.times import DAY, Instant
from schemas.vocabulary import CHANNELS, SuppressionReason
from services.suppression import situation_intervals
from services.suppression.situation_intervals import SituationKinds

ERASED = "tactful.customer.erased"
QUARANTINE = "unreadable-event"
QUARANTINE_SPAN = DAY

Name = TypeVar("Name", bound=Hashable)


class OwnEntry(msgspec.Struct, frozen=True, array_like=True):
    """An entry that names the customer, with the id under which people find and remove it (empty in simulations)."""

    id: str
    entry: Entry


class State(msgspec.Struct, frozen=True, array_like=True):
    """One customer's entries, situations in order of arrival, and quarantine. `version` 0 means: nothing known."""

    customer: str
    version: int = 0
    entries: tuple[OwnEntry, ...] = ()
    situations: tuple[Situation, ...] = ()
    quarantine: tuple[HoldFact, ...] = ()


_DECODER = msgspec.msgpack.Decoder(State)
_ENCODER = msgspec.msgpack.Encoder()


def empty(customer: str) -> State:
    """The state of a customer of whom nothing is known."""
    return State(customer)


def pack(state: State) -> bytes:
    """The state as bytes."""
    return _ENCODER.encode(state)


def unpack(raw: bytes) -> State:
    """The state that `pack` wrote."""
    return _DECODER.decode(raw)


def wants(event_type: str, kinds: SituationKinds) -> bool:
    """Whether events of this type can change any state."""
    return event_type == ERASED or kinds.wants(event_type)


def apply(state: State, event: Event, data: Mapping[str, Any], kinds: SituationKinds) -> State | None:
    """The state after the event; the same object when nothing changed; None when its type does not concern it.

    Raises BadEvent when the event's data are not what its type demands.
    """
    result = erased(state, event.time) if event.type == ERASED else None
    intervals = situation_intervals.apply(state.situations, event, data, kinds)
    if intervals is not None:
        result = with_situations(state if result is None else result, intervals)
    return result


def entry_of(document: Suppression, address: int | None = None) -> Entry:
    """The fact that a suppression document states."""
    scope = document.scope
    return Entry(
        channel=None if scope.channel is None else scope.channel.value,
        topic=scope.topic,
        classes=None if scope.classes is None else tuple(sorted(cls.value for cls in scope.classes)),
        at=document.at,
        expires=document.expires,
        reason=document.reason.value,
        address=address,
    )


def erased(state: State, at: Instant, entry_id: str = "") -> State:
    """With an entry that covers everything, since the customer was erased at `at`."""
    return add_entry(state, Entry(None, None, None, at, None, SuppressionReason.ERASED.value), entry_id)


def add_entry(state: State, entry: Entry, entry_id: str = "") -> State:
    """With this entry; the same object when one that says the same stands at least as long."""
    if any(says_no_more(entry, own.entry) for own in state.entries):
        return state
    return changed(state, entries=(*state.entries, OwnEntry(entry_id, entry)))


def says_no_more(new: Entry, known: Entry) -> bool:
    """Whether `known` has the same scope and reason and stands whenever `new` would."""
    same = _scope(new) == _scope(known) and new.reason == known.reason
    lasts = known.expires is None or (new.expires is not None and new.expires <= known.expires)
    return same and known.at <= new.at and lasts


def _scope(entry: Entry) -> tuple[object, ...]:
    return entry.channel, entry.topic, entry.classes


def remove_entry(state: State, entry_id: str) -> State | None:
    """Without the entry of that id; None when there is none."""
    entries = tuple(own for own in state.entries if own.id != entry_id)
    return None if len(entries) == len(state.entries) else changed(state, entries=entries)


def with_situations(state: State, intervals: tuple[Situation, ...]) -> State:
    """With these intervals; the same object when they are the same."""
    return state if intervals is state.situations else changed(state, situations=intervals)


def quarantined(state: State, now: Instant) -> State:
    """With a day of silence for service and marketing, because an event of this customer could not be read."""
    return changed(state, quarantine=(quarantine_hold(now),))


def quarantine_hold(now: Instant) -> HoldFact:
    """The hold on a customer of whom an event could not be read at `now`."""
    scope = Scope(classes=frozenset({"service", "marketing"}))
    reason = "an event of this customer could not be read"
    return HoldFact(QUARANTINE, "defer", now, now + QUARANTINE_SPAN, scope, reason=reason, placed_by="Tactful")


def changed(state: State, **fields: Any) -> State:
    """The next version, with these fields."""
    return msgspec.structs.replace(state, version=state.version + 1, **fields)


def facts(state: State, address_entries: Mapping[Name, Sequence[Entry]], asked: Sequence[Name]) -> Suppressions:
    """The answer about this customer; `asked` names the customer's addresses as `address_entries` does."""
    return Suppressions(
        customer=state.customer,
        version=state.version,
        entries=tuple(own.entry for own in state.entries) + match_addresses(address_entries, asked),
        situations=state.situations,
        holds=state.quarantine,
    )


def match_addresses(address_entries: Mapping[Name, Sequence[Entry]], asked: Sequence[Name]) -> tuple[Entry, ...]:
    """The entries of the addresses asked about, each with its address's place in `asked`."""
    if not address_entries:
        return ()
    return tuple(
        msgspec.structs.replace(entry, address=place)
        for place, name in enumerate(asked)
        for entry in address_entries.get(name, ())
    )


def address_names(document: Suppression, name: Callable[[str, str], Name]) -> tuple[Name, ...]:
    """The names of a document's address, by `name(channel, address)`: one, or one a channel when it names none."""
    if document.address is None:
        return ()
    channels = CHANNELS if document.scope.channel is None else (document.scope.channel.value,)
    return tuple(name(channel, document.address) for channel in channels)


def plain_name(channel: str, address: str) -> tuple[str, str]:
    """How simulations name an address: by its normal form."""
    return channel, normalise_address(channel, address)


def index_addresses(documents: Iterable[Suppression]) -> dict[tuple[str, str], tuple[Entry, ...]]:
    """The entries of those documents that name an address, by `plain_name`, for `facts` in a simulation."""
    index: dict[tuple[str, str], tuple[Entry, ...]] = {}
    for document in documents:
        for name in address_names(document, plain_name):
            index[name] = (*index.get(name, ()), entry_of(document))
    return index
