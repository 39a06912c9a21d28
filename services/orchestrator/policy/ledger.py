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
from services.orchestrator.policy.cached_attribute import cached_attribute
from services.orchestrator.policy.scope import MessageAttributes

ContactState = Literal["planned", "made", "unknown"]
"""A contact is made from the mark on; whether its message has arrived yet is the message's business."""

CONTACT_STATES: Final[tuple[ContactState, ...]] = ("planned", "made", "unknown")
PLANNED: Final = 0
MADE: Final = 1
REPORTED_FLAG: Final = 4
BEGINNING_OF_TIME: Final = -(2**63)

_FORMAT_VERSION: Final = 2
_HEADER: Final = struct.Struct("<BqI")
_ROW_FORMAT: Final = struct.Struct("<16sqqqHBB")
_ROW_SIZE: Final = _ROW_FORMAT.size
_EVENT_COLUMN: Final = "16xq20x"
_TIME_COLUMN: Final = "24xq12x"
_ATTRIBUTES_COLUMN: Final = "40xHxx"
_ROW_COLUMN: Final = "44s"
_FLAGS_OFFSET: Final = 43
_SORT_FIELDS: Final = struct.Struct("<16s8xq")
_ATTRIBUTES_DECODER: Final = msgspec.msgpack.Decoder(tuple[MessageAttributes, ...])
_EMPTY_TABLE: Final = msgspec.msgpack.encode(())


class LedgerRow(NamedTuple):
    """A contact as it lies on the ledger. `kind` is its place in the table; flags are its state, and REPORTED."""

    id: bytes
    event_hash: int
    at: Instant
    first_planned: Instant
    attributes_index: int
    priority: int
    flags: int


class Contact(NamedTuple):
    """One message planned or made to the customer. `since`: when it was first planned. A reported one has no rank."""

    message_id: str
    event_hash: int
    attributes: MessageAttributes
    priority: int
    at: Instant
    first_planned: Instant
    state: ContactState = "planned"
    reported: bool = False


def message_id_bytes(message_id: str) -> bytes:
    """The 16 bytes behind `msg_` and 32 hex digits; their order is the order of the texts."""
    return bytes.fromhex(message_id[4:])


def message_id_text(raw: bytes) -> str:
    """The message id of 16 bytes."""
    return "msg_" + raw.hex()


@lru_cache(maxsize=4096)
def _decode_attributes(packed_table: bytes) -> tuple[MessageAttributes, ...]:
    return _ATTRIBUTES_DECODER.decode(packed_table)


@lru_cache(maxsize=1024)
def _column_format(field: str, rows: int) -> struct.Struct:
    """Reads one field of so many rows at once."""
    return struct.Struct("<" + field * rows)


def _sort_key(rows: bytes, index: int) -> tuple[Instant, bytes]:
    raw, at = _SORT_FIELDS.unpack_from(rows, index * _ROW_SIZE)
    return at, raw


def _insert_row(rows: bytes, row: bytes) -> bytes:
    """The rows and one more, which mostly is the latest."""
    count, own_key = len(rows) // _ROW_SIZE, _sort_key(row, 0)
    if not rows or _sort_key(rows, count - 1) < own_key:
        return rows + row
    start = _ROW_SIZE * bisect_left(range(count), own_key, key=lambda index: _sort_key(rows, index))
    return rows[:start] + row + rows[start:]


def _remove_row(rows: bytes, index: int) -> bytes:
    return rows[: index * _ROW_SIZE] + rows[(index + 1) * _ROW_SIZE :]


class Ledger(msgspec.Struct, frozen=True, dict=True):
    """A customer's contacts: everything at or after `complete_from`, and all that is planned."""

    packed_table: bytes = _EMPTY_TABLE
    """The kinds, packed."""
    packed_rows: bytes = b""
    """The rows, packed."""
    complete_from: Instant = BEGINNING_OF_TIME

    @staticmethod
    def empty() -> "Ledger":
        """No contact, ever."""
        return _EMPTY

    def pack(self) -> bytes:
        """The ledger as bytes, equal for equal ledgers."""
        return (
            _HEADER.pack(_FORMAT_VERSION, self.complete_from, len(self.packed_table))
            + self.packed_table
            + self.packed_rows
        )

    @staticmethod
    def unpack(packed: bytes) -> "Ledger":
        """The ledger that `pack` wrote. Raises ValueError for anything else."""
        try:
            version, complete_from, size = _HEADER.unpack_from(packed)
            if version != _FORMAT_VERSION:
                raise ValueError(f"a ledger of form {version}, this program knows {_FORMAT_VERSION}")
            start = _HEADER.size + size
            ledger = Ledger(packed[_HEADER.size : start], packed[start:], complete_from)
            if len(ledger.packed_rows) % _ROW_SIZE:
                raise ValueError("not a packed ledger: its last row is cut")
            _decode_attributes(ledger.packed_table)
            return ledger
        except (struct.error, msgspec.DecodeError) as error:
            raise ValueError(f"not a packed ledger: {error}") from None

    @cached_attribute
    def attribute_table(self) -> tuple[MessageAttributes, ...]:
        """The kinds of contact there are."""
        return _decode_attributes(self.packed_table)

    @cached_attribute
    def times(self) -> tuple[Instant, ...]:
        """When each contact counts, ascending."""
        return self._read_column(_TIME_COLUMN)

    @cached_attribute
    def event_hashes(self) -> tuple[int, ...]:
        """The event behind each contact."""
        return self._read_column(_EVENT_COLUMN)

    @cached_attribute
    def attribute_indexes(self) -> tuple[int, ...]:
        """The kind of each contact, by its place in the table."""
        return self._read_column(_ATTRIBUTES_COLUMN)

    @property
    def flags(self) -> bytes:
        """The flags of each contact."""
        return self.packed_rows[_FLAGS_OFFSET::_ROW_SIZE]

    @property
    def row_bytes(self) -> tuple[bytes, ...]:
        """Each contact, packed; equal ones are equal where the tables of kinds begin alike."""
        return self._read_column(_ROW_COLUMN)

    def _read_column(self, field: str) -> tuple[Any, ...]:
        return _column_format(field, len(self)).unpack(self.packed_rows)

    def row_at(self, index: int) -> LedgerRow:
        """One contact as it lies there."""
        return LedgerRow._make(_ROW_FORMAT.unpack_from(self.packed_rows, index * _ROW_SIZE))

    def __iter__(self) -> Iterator[Contact]:
        return map(self.contact_at, range(len(self)))

    def __len__(self) -> int:
        return len(self.packed_rows) // _ROW_SIZE

    def find_contact(self, message_id: str) -> Contact | None:
        """The message's contact, if it has one."""
        index = self.index(message_id_bytes(message_id))
        return None if index is None else self.contact_at(index)

    def contacts_of_event(self, event_hash: int) -> tuple[Contact, ...]:
        """The contacts that stem from an event."""
        if event_hash not in self.event_hashes:
            return ()
        return tuple([self.contact_at(index) for index, each in enumerate(self.event_hashes) if each == event_hash])

    def put_contact(self, contact: Contact) -> "Ledger":
        """With this contact in place of any other of the same message."""
        attribute_table, packed_table = self.attribute_table, self.packed_table
        if contact.attributes in attribute_table:
            kind = attribute_table.index(contact.attributes)
        else:
            kind, packed_table = len(attribute_table), msgspec.msgpack.encode((*attribute_table, contact.attributes))
        flags = CONTACT_STATES.index(contact.state) | (REPORTED_FLAG if contact.reported else 0)
        raw = message_id_bytes(contact.message_id)
        row = _ROW_FORMAT.pack(
            raw, contact.event_hash, contact.at, contact.first_planned, kind, contact.priority, flags
        )
        index = self.index(raw)
        others = self.packed_rows if index is None else _remove_row(self.packed_rows, index)
        return Ledger(packed_table, _insert_row(others, row), self.complete_from)

    def put_reported_contact(self, contact: Contact) -> "Ledger":
        """With a contact that another tool made or will make: it has no rank and always counts."""
        return self.put_contact(contact._replace(state="made", reported=True))

    def claim_contact(self, message_id: str, at: Instant) -> "Ledger":
        """The message's contact is made, and counts at `at` from now on. Raises KeyError."""
        index = self.index(message_id_bytes(message_id))
        if index is None:
            raise KeyError(message_id)
        raw, event_hash, planned, first_planned, kind, priority, flags = _ROW_FORMAT.unpack_from(
            self.packed_rows, index * _ROW_SIZE
        )
        if planned == at:
            return self._with_state(index, MADE)
        claimed_row = _ROW_FORMAT.pack(raw, event_hash, at, first_planned, kind, priority, MADE | flags & REPORTED_FLAG)
        return Ledger(
            self.packed_table, _insert_row(_remove_row(self.packed_rows, index), claimed_row), self.complete_from
        )

    def set_contact_state(self, message_id: str, state: ContactState) -> "Ledger":
        """The message's contact is in this state from now on; one that was forgotten needs none."""
        index = self.index(message_id_bytes(message_id))
        return self if index is None else self._with_state(index, CONTACT_STATES.index(state))

    def _with_state(self, index: int, state: int) -> "Ledger":
        before, at = self.packed_rows, index * _ROW_SIZE + _FLAGS_OFFSET
        flag = bytes((state | before[at] & REPORTED_FLAG,))
        return Ledger(self.packed_table, before[:at] + flag + before[at + 1 :], self.complete_from)

    def release(self, message_id: str) -> "Ledger":
        """Without the message's contact."""
        index = self.index(message_id_bytes(message_id))
        return (
            self
            if index is None
            else Ledger(self.packed_table, _remove_row(self.packed_rows, index), self.complete_from)
        )

    def forget(self, before: Instant) -> "Ledger":
        """Without what was made before an instant, and without kinds that no contact has any more."""
        if before <= self.complete_from:
            return self
        kept_rows = [row for row in map(self.row_at, range(len(self))) if row.at >= before or row.flags == PLANNED]
        used = sorted({row.attributes_index for row in kept_rows})
        new_indexes = {old: new for new, old in enumerate(used)}
        rows = b"".join(
            [_ROW_FORMAT.pack(*row._replace(attributes_index=new_indexes[row.attributes_index])) for row in kept_rows]
        )
        return Ledger(msgspec.msgpack.encode([self.attribute_table[index] for index in used]), rows, before)

    def index(self, raw: bytes) -> int | None:
        """Where the contact of a message lies."""
        found = self.packed_rows.rfind(raw)  # from the end, for it mostly is among the latest
        while found % _ROW_SIZE:  # the bytes may also happen to lie across fields, or found is -1
            if found < 0:
                return None
            found = self.packed_rows.rfind(raw, 0, found + len(raw) - 1)
        return found // _ROW_SIZE

    def contact_at(self, index: int) -> Contact:
        """One contact."""
        raw, event_hash, at, first_planned, kind, priority, flags = _ROW_FORMAT.unpack_from(
            self.packed_rows, index * _ROW_SIZE
        )
        state = CONTACT_STATES[flags & 3]
        return Contact(
            message_id_text(raw),
            event_hash,
            self.attribute_table[kind],
            priority,
            at,
            first_planned,
            state,
            bool(flags & REPORTED_FLAG),
        )


_EMPTY: Final = Ledger()
