"""The contact ledger: every planned and made contact of one customer, as an immutable value.

Rows stay packed, 44 bytes each, in ascending order of time (then of id); what a rule counts is read out of them a
column at a time. Kinds (campaign, topic, channel, class, intent) are kept once in a table. Packed form: one version
byte, `complete_from`, the length of the table, the table as msgpack, then the rows.
"""

import struct
from bisect import bisect_left
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Final, Literal, NamedTuple

import msgspec

from schemas.times import Instant
from services.orchestrator.policy.cached_attribute import lazy
from services.orchestrator.policy.scope import Kind

State = Literal["planned", "made", "unknown"]
"""A contact is made from the mark on; whether its message has arrived yet is the message's business."""

STATES: Final[tuple[State, ...]] = ("planned", "made", "unknown")
PLANNED: Final = 0
MADE: Final = 1
REPORTED: Final = 4
BEGINNING: Final = -(2**63)

_VERSION: Final = 2
_HEAD: Final = struct.Struct("<BqI")
_ROW: Final = struct.Struct("<16sqqqHBB")
_WIDTH: Final = _ROW.size
_EVENT: Final = "16xq20x"
_AT: Final = "24xq12x"
_KIND: Final = "40xHxx"
_WHOLE: Final = "44s"
_FLAGS: Final = 43
_ORDER: Final = struct.Struct("<16s8xq")
_KINDS: Final = msgspec.msgpack.Decoder(tuple[Kind, ...])
_NO_KINDS: Final = msgspec.msgpack.encode(())


class Row(NamedTuple):
    """A contact as it lies on the ledger. `kind` is its place in the table; flags are its state, and REPORTED."""

    id: bytes
    event: int
    at: Instant
    since: Instant
    kind: int
    priority: int
    flags: int


class Contact(NamedTuple):
    """One message planned or made to the customer. `since`: when it was first planned. A reported one has no rank."""

    message_id: str
    event: int
    kind: Kind
    priority: int
    at: Instant
    since: Instant
    state: State = "planned"
    reported: bool = False


def raw_id(message_id: str) -> bytes:
    """The 16 bytes behind `msg_` and 32 hex digits; their order is the order of the texts."""
    return bytes.fromhex(message_id[4:])


def text_id(raw: bytes) -> str:
    """The message id of 16 bytes."""
    return "msg_" + raw.hex()


@lru_cache(maxsize=4096)
def _kinds(table: bytes) -> tuple[Kind, ...]:
    return _KINDS.decode(table)


@lru_cache(maxsize=1024)
def _column(field: str, rows: int) -> struct.Struct:
    """Reads one field of so many rows at once."""
    return struct.Struct("<" + field * rows)


def _order(rows: bytes, place: int) -> tuple[Instant, bytes]:
    raw, at = _ORDER.unpack_from(rows, place * _WIDTH)
    return at, raw


def _with(rows: bytes, row: bytes) -> bytes:
    """The rows and one more, which mostly is the latest."""
    count, own = len(rows) // _WIDTH, _order(row, 0)
    if not rows or _order(rows, count - 1) < own:
        return rows + row
    start = _WIDTH * bisect_left(range(count), own, key=lambda place: _order(rows, place))
    return rows[:start] + row + rows[start:]


def _without(rows: bytes, place: int) -> bytes:
    return rows[: place * _WIDTH] + rows[(place + 1) * _WIDTH :]


class Ledger(msgspec.Struct, frozen=True, dict=True):
    """A customer's contacts: everything at or after `complete_from`, and all that is planned."""

    table: bytes = _NO_KINDS
    """The kinds, packed."""
    packed: bytes = b""
    """The rows, packed."""
    complete_from: Instant = BEGINNING

    @staticmethod
    def empty() -> "Ledger":
        """No contact, ever."""
        return _EMPTY

    def pack(self) -> bytes:
        """The ledger as bytes, equal for equal ledgers."""
        return _HEAD.pack(_VERSION, self.complete_from, len(self.table)) + self.table + self.packed

    @staticmethod
    def unpack(packed: bytes) -> "Ledger":
        """The ledger that `pack` wrote. Raises ValueError for anything else."""
        try:
            version, complete_from, size = _HEAD.unpack_from(packed)
            if version != _VERSION:
                raise ValueError(f"a ledger of form {version}, this program knows {_VERSION}")
            start = _HEAD.size + size
            ledger = Ledger(packed[_HEAD.size : start], packed[start:], complete_from)
            if len(ledger.packed) % _WIDTH:
                raise ValueError("not a packed ledger: its last row is cut")
            _kinds(ledger.table)
            return ledger
        except (struct.error, msgspec.DecodeError) as error:
            raise ValueError(f"not a packed ledger: {error}") from None

    @lazy
    def kinds(self) -> tuple[Kind, ...]:
        """The kinds of contact there are."""
        return _kinds(self.table)

    @lazy
    def times(self) -> tuple[Instant, ...]:
        """When each contact counts, ascending."""
        return self._read(_AT)

    @lazy
    def events(self) -> tuple[int, ...]:
        """The event behind each contact."""
        return self._read(_EVENT)

    @lazy
    def kinds_of(self) -> tuple[int, ...]:
        """The kind of each contact, by its place in the table."""
        return self._read(_KIND)

    @property
    def flags(self) -> bytes:
        """The flags of each contact."""
        return self.packed[_FLAGS::_WIDTH]

    @property
    def rows(self) -> tuple[bytes, ...]:
        """Each contact, packed; equal ones are equal where the tables of kinds begin alike."""
        return self._read(_WHOLE)

    def _read(self, field: str) -> tuple[Any, ...]:
        return _column(field, len(self)).unpack(self.packed)

    def row(self, place: int) -> Row:
        """One contact as it lies there."""
        return Row._make(_ROW.unpack_from(self.packed, place * _WIDTH))

    def __iter__(self) -> Iterator[Contact]:
        return map(self.contact, range(len(self)))

    def __len__(self) -> int:
        return len(self.packed) // _WIDTH

    def find(self, message_id: str) -> Contact | None:
        """The message's contact, if it has one."""
        place = self.place(raw_id(message_id))
        return None if place is None else self.contact(place)

    def of_event(self, event: int) -> tuple[Contact, ...]:
        """The contacts that stem from an event."""
        if event not in self.events:
            return ()
        return tuple([self.contact(place) for place, each in enumerate(self.events) if each == event])

    def plan(self, contact: Contact) -> "Ledger":
        """With this contact in place of any other of the same message."""
        kinds, table = self.kinds, self.table
        if contact.kind in kinds:
            kind = kinds.index(contact.kind)
        else:
            kind, table = len(kinds), msgspec.msgpack.encode((*kinds, contact.kind))
        flags = STATES.index(contact.state) | (REPORTED if contact.reported else 0)
        raw = raw_id(contact.message_id)
        row = _ROW.pack(raw, contact.event, contact.at, contact.since, kind, contact.priority, flags)
        place = self.place(raw)
        others = self.packed if place is None else _without(self.packed, place)
        return Ledger(table, _with(others, row), self.complete_from)

    def report(self, contact: Contact) -> "Ledger":
        """With a contact that another tool made or will make: it has no rank and always counts."""
        return self.plan(contact._replace(state="made", reported=True))

    def mark(self, message_id: str, at: Instant) -> "Ledger":
        """The message's contact is made, and counts at `at` from now on. Raises KeyError."""
        place = self.place(raw_id(message_id))
        if place is None:
            raise KeyError(message_id)
        raw, event, planned, since, kind, priority, flags = _ROW.unpack_from(self.packed, place * _WIDTH)
        if planned == at:
            return self._flagged(place, MADE)
        marked = _ROW.pack(raw, event, at, since, kind, priority, MADE | flags & REPORTED)
        return Ledger(self.table, _with(_without(self.packed, place), marked), self.complete_from)

    def settle(self, message_id: str, state: State) -> "Ledger":
        """The message's contact is in this state from now on; one that was forgotten needs none."""
        place = self.place(raw_id(message_id))
        return self if place is None else self._flagged(place, STATES.index(state))

    def _flagged(self, place: int, state: int) -> "Ledger":
        before, at = self.packed, place * _WIDTH + _FLAGS
        flag = bytes((state | before[at] & REPORTED,))
        return Ledger(self.table, before[:at] + flag + before[at + 1 :], self.complete_from)

    def release(self, message_id: str) -> "Ledger":
        """Without the message's contact."""
        place = self.place(raw_id(message_id))
        return self if place is None else Ledger(self.table, _without(self.packed, place), self.complete_from)

    def forget(self, before: Instant) -> "Ledger":
        """Without what was made before an instant, and without kinds that no contact has any more."""
        if before <= self.complete_from:
            return self
        kept = [row for row in map(self.row, range(len(self))) if row.at >= before or row.flags == PLANNED]
        used = sorted({row.kind for row in kept})
        moved = {old: new for new, old in enumerate(used)}
        rows = b"".join([_ROW.pack(*row._replace(kind=moved[row.kind])) for row in kept])
        return Ledger(msgspec.msgpack.encode([self.kinds[kind] for kind in used]), rows, before)

    def place(self, raw: bytes) -> int | None:
        """Where the contact of a message lies."""
        found = self.packed.rfind(raw)  # from the end, for it mostly is among the latest
        while found % _WIDTH:  # the bytes may also happen to lie across fields, or found is -1
            if found < 0:
                return None
            found = self.packed.rfind(raw, 0, found + len(raw) - 1)
        return found // _WIDTH

    def contact(self, place: int) -> Contact:
        """One contact."""
        raw, event, at, since, kind, priority, flags = _ROW.unpack_from(self.packed, place * _WIDTH)
        state = STATES[flags & 3]
        return Contact(text_id(raw), event, self.kinds[kind], priority, at, since, state, bool(flags & REPORTED))


_EMPTY: Final = Ledger()
