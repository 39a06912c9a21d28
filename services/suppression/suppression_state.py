"""A customer's entries, situations and quarantine as one immutable value, and how events change it. Pure.

The service stores it packed; simulations use it in memory.
"""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from operator import attrgetter
from typing import Any, TypeVar

import msgspec

from schemas.address_kinds import BadAddress
from schemas.addresses import canonical_by_channel, comparable_form
from schemas.documents import DocumentError
from schemas.event import Event
from schemas.facts import HoldFact, Quarantine, Situation, SuppressionEntry, Suppressions
from schemas.own_events import CUSTOMER_ERASED, FEEDBACK_GIVEN, CheckedData
from schemas.quarantine import LogPosition, begin_quarantine, end_quarantine, unknown_record
from schemas.suppression import Suppression
from schemas.times import Instant
from schemas.vocabulary import SuppressionReason
from services.suppression import situation_intervals
from services.suppression.situation_intervals import SituationKinds

AddressName = TypeVar("AddressName", bound=Hashable)


class CustomerEntry(msgspec.Struct, frozen=True, array_like=True):
    """An entry that names the customer, with the id under which people find and remove it (empty in simulations)."""

    id: str
    entry: SuppressionEntry


class SuppressionState(msgspec.Struct, frozen=True, array_like=True):
    """One customer's entries, situations in order of arrival, and quarantines. `version` 0: nothing is known.

    `quarantine_holds` is of the version before quarantines, which placed a hold, and empty once a state is unpacked.
    """

    customer: str
    version: int = 0
    entries: tuple[CustomerEntry, ...] = ()
    situations: tuple[Situation, ...] = ()
    quarantine_holds: tuple[HoldFact, ...] = ()
    quarantines: tuple[Quarantine, ...] = ()


_DECODER = msgspec.msgpack.Decoder(SuppressionState)
_ENCODER = msgspec.msgpack.Encoder()


def empty_state(customer: str) -> SuppressionState:
    """The state of a customer of whom nothing is known."""
    return SuppressionState(customer)


def pack(state: SuppressionState) -> bytes:
    """The state as bytes."""
    return _ENCODER.encode(state)


def unpack(raw: bytes) -> SuppressionState:
    """The state that `pack` encoded."""
    state = _DECODER.decode(raw)
    if not state.quarantine_holds:
        return state
    quarantines = tuple(unknown_record(hold.start, hold.until) for hold in state.quarantine_holds if hold.until)
    return msgspec.structs.replace(state, quarantine_holds=(), quarantines=quarantines)


def handles(event_type: str, kinds: SituationKinds) -> bool:
    """Whether this service owns events of this type: they can change a state, or nobody else checks them."""
    return event_type in (CUSTOMER_ERASED, FEEDBACK_GIVEN) or kinds.handles(event_type)


def apply_event(
    state: SuppressionState, event: Event, checked: CheckedData, kinds: SituationKinds
) -> SuppressionState | None:
    """The state after the good parts of the event; the same object when nothing changed; None for another type."""
    result = add_erasure(state, event.time) if event.type == CUSTOMER_ERASED else None
    intervals = situation_intervals.apply_event(state.situations, event, checked, kinds)
    if intervals is not None:
        result = with_situations(state if result is None else result, intervals)
    return result


def to_entry(document: Suppression, address: int | None = None) -> SuppressionEntry:
    """The entry of a suppression document."""
    scope = document.scope
    return SuppressionEntry(
        channel=None if scope.channel is None else scope.channel.value,
        topic=scope.topic,
        classes=None if scope.classes is None else tuple(sorted(cls.value for cls in scope.classes)),
        at=document.at,
        expires=document.expires,
        reason=document.reason.value,
        address=address,
    )


def add_erasure(state: SuppressionState, at: Instant, entry_id: str = "") -> SuppressionState:
    """The state with an entry that covers everything, because the customer was erased at `at`."""
    return add_entry(state, SuppressionEntry(None, None, None, at, None, SuppressionReason.ERASED.value), entry_id)


def add_entry(state: SuppressionState, entry: SuppressionEntry, entry_id: str = "") -> SuppressionState:
    """The state with this entry; the same object when an equal one is valid at least as long."""
    if any(is_covered_by(entry, customer_entry.entry) for customer_entry in state.entries):
        return state
    return next_version(state, entries=(*state.entries, CustomerEntry(entry_id, entry)))


def is_covered_by(new: SuppressionEntry, known: SuppressionEntry) -> bool:
    """Whether `known` has the same scope and reason, and is valid whenever `new` would be.

    Each undecided reply has an entry of its own, which ends with the decision about that reply.
    """
    if new.reason == SuppressionReason.UNDECIDED_REPLY and known.at != new.at:
        return False
    same_scope = _entry_scope(new) == _entry_scope(known) and new.reason == known.reason
    lasts = known.expires is None or (new.expires is not None and new.expires <= known.expires)
    return same_scope and known.at <= new.at and lasts


def _entry_scope(entry: SuppressionEntry) -> tuple[object, ...]:
    return entry.channel, entry.topic, entry.classes


def remove_entry(state: SuppressionState, entry_id: str) -> SuppressionState | None:
    """The state without the entry of that id; None when there is none."""
    entries = tuple(customer_entry for customer_entry in state.entries if customer_entry.id != entry_id)
    return None if len(entries) == len(state.entries) else next_version(state, entries=entries)


def with_situations(state: SuppressionState, intervals: tuple[Situation, ...]) -> SuppressionState:
    """The state with these intervals; the same object when they are the same."""
    return state if intervals is state.situations else next_version(state, situations=intervals)


def quarantine(state: SuppressionState, position: LogPosition, now: Instant) -> SuppressionState:
    """The state after a record that could not be read: it may have opened a situation, or been an erasure."""
    return next_version(state, quarantines=begin_quarantine(state.quarantines, position, now))


def release(state: SuppressionState, position: LogPosition) -> SuppressionState:
    """The state once the dead letter of a record is closed; the same object when no quarantine rests on it."""
    quarantines = end_quarantine(state.quarantines, position)
    return state if quarantines is state.quarantines else next_version(state, quarantines=quarantines)


def next_version(state: SuppressionState, **fields: Any) -> SuppressionState:
    """The next version of the state, with these fields replaced."""
    return msgspec.structs.replace(state, version=state.version + 1, **fields)


def to_facts(
    state: SuppressionState,
    address_entries: Mapping[AddressName, Sequence[SuppressionEntry]],
    names: Sequence[tuple[int, AddressName]],
    erased: Sequence[SuppressionEntry] = (),
) -> Suppressions:
    """The facts about this customer; `names`: indexes of the customer's addresses, each with a key of
    `address_entries`. An address may have several keys. `erased`: the entry of a customer of whom no state is kept.
    """
    return Suppressions(
        customer=state.customer,
        version=state.version,
        entries=tuple(customer_entry.entry for customer_entry in state.entries)
        + tuple(erased)
        + match_address_entries(address_entries, names),
        situations=state.situations,
        quarantines=state.quarantines,
    )


def match_address_entries(
    address_entries: Mapping[AddressName, Sequence[SuppressionEntry]], names: Sequence[tuple[int, AddressName]]
) -> tuple[SuppressionEntry, ...]:
    """The entries of these addresses, each with the index of its address, and once for each address."""
    if not address_entries:
        return ()
    found = [
        msgspec.structs.replace(entry, address=index)
        for index, name in names
        for entry in address_entries.get(name, ())
    ]
    return tuple(sorted(dict.fromkeys(found), key=attrgetter("address")))


def suppressed_addresses(document: Suppression, region: str | None) -> dict[str, str]:
    """The canonical form of a document's address on each channel where it is an address. Raises DocumentError.

    `region`: the organisation's country.
    """
    if document.address is None:
        return {}
    channel = None if document.scope.channel is None else document.scope.channel.value
    try:
        return canonical_by_channel(channel, document.address, region)
    except BadAddress as error:
        raise DocumentError([("/address", error.code, str(error))]) from None


def plain_address_name(channel: str, canonical: str) -> tuple[str, str]:
    """The key of an address in simulations: its channel and the form in which it is compared."""
    return channel, comparable_form(channel, canonical)


def index_address_entries(
    documents: Iterable[Suppression], region: str | None
) -> tuple[dict[tuple[str, str], tuple[SuppressionEntry, ...]], int]:
    """The entries of those documents that name an address, by `plain_address_name`, for `to_facts` in a simulation.

    Also how many documents name what is no address, and so cover nobody.
    """
    unusable = 0
    index: dict[tuple[str, str], tuple[SuppressionEntry, ...]] = {}
    for document in documents:
        try:
            addresses = suppressed_addresses(document, region)
        except DocumentError:
            unusable += 1
            continue
        for channel, canonical in addresses.items():
            name = plain_address_name(channel, canonical)
            index[name] = (*index.get(name, ()), to_entry(document))
    return index, unusable
