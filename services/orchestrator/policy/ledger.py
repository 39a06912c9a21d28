"""Contact ledger: all planned and made contacts of one customer, as an immutable value packed into bytes.

One ledger is one database row, read, changed and written back for every message, so its cost is paid on the hot path.
Keeping the rows packed avoids one Python object per contact: rules read only the column they count (all times, all
states) with one `struct` call: 1.6 us for the times of 64 contacts, against 47 us if each contact is decoded. The
shortcuts of this package are timed beside plain code by `python -m tests.bench.shortcuts`, whole decisions by
`python -m tests.bench.judging`.

Layout of `pack()`, little-endian:

    offset  size  field
    0       1     format version (2)
    1       8     complete_from: instant (microseconds since 1970 UTC) from which no contact is missing
    9       4     length of the attribute table in bytes
    13      n     attribute table: msgpack array of MessageAttributes, each distinct value once
    13+n    44*k  k rows

Layout of one row (44 bytes), see `_ROW_FORMAT`:

    offset  size  field
    0       16    message id (the hex digits after `msg_` as bytes)
    16      8     event hash
    24      8     at: the instant at which the contact counts
    32      8     first_planned: the instant at which the message was first planned (seniority)
    40      2     index into the attribute table
    42      1     priority
    43      1     flags: bits 0-1 the contact state, bit 2 set for a contact reported by another tool

Invariants: rows are sorted by (at, message id); a message id is in at most one row; every attribute index points
into the table. Changing the layout needs a new format version and a migration of the column `ledger.ring`.
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
"""`planned`: will be sent at `at`. `made`: claimed for handover at `at`. `unknown`: the provider's answer is missing.

Only planned contacts can be outranked. Whether a message was delivered is recorded on the message, not here.
"""

CONTACT_STATES: Final[tuple[ContactState, ...]] = ("planned", "made", "unknown")
PLANNED: Final = 0
MADE: Final = 1
REPORTED_FLAG: Final = 4
BEGINNING_OF_TIME: Final = -(2**63)

_FORMAT_VERSION: Final = 2
_HEADER: Final = struct.Struct("<BqI")
_ROW_FORMAT: Final = struct.Struct("<16sqqqHBB")
_ROW_SIZE: Final = _ROW_FORMAT.size
# Format of one row with all fields but one skipped: repeated once per row, it reads a whole column in one call.
_EVENT_COLUMN: Final = "16xq20x"
_TIME_COLUMN: Final = "24xq12x"
_ATTRIBUTES_COLUMN: Final = "40xHxx"
_ROW_COLUMN: Final = "44s"
_FLAGS_OFFSET: Final = 43
_SORT_FIELDS: Final = struct.Struct("<16s8xq")
_ATTRIBUTES_DECODER: Final = msgspec.msgpack.Decoder(tuple[MessageAttributes, ...])
_EMPTY_TABLE: Final = msgspec.msgpack.encode(())


class LedgerRow(NamedTuple):
    """One packed row, decoded. `flags` holds the contact state and REPORTED_FLAG."""

    id: bytes
    event_hash: int
    at: Instant
    first_planned: Instant
    attributes_index: int
    priority: int
    flags: int


class Contact(NamedTuple):
    """One message planned for, or made to, the customer. A reported contact has no rank: it always counts."""

    message_id: str
    event_hash: int
    attributes: MessageAttributes
    priority: int
    at: Instant
    first_planned: Instant
    state: ContactState = "planned"
    reported: bool = False


def message_id_bytes(message_id: str) -> bytes:
    """Decodes `msg_` and 32 hex digits to 16 bytes. Bytes sort as the texts do."""
    return bytes.fromhex(message_id[4:])


def message_id_text(raw: bytes) -> str:
    """Encodes 16 bytes as a message id."""
    return "msg_" + raw.hex()


@lru_cache(maxsize=4096)
def _decode_attributes(packed_table: bytes) -> tuple[MessageAttributes, ...]:
    return _ATTRIBUTES_DECODER.decode(packed_table)


@lru_cache(maxsize=1024)
def _column_format(field: str, rows: int) -> struct.Struct:
    """Returns the compiled format that reads one column of `rows` rows."""
    return struct.Struct("<" + field * rows)


def _sort_key(rows: bytes, index: int) -> tuple[Instant, bytes]:
    raw, at = _SORT_FIELDS.unpack_from(rows, index * _ROW_SIZE)
    return at, raw


def _insert_row(rows: bytes, row: bytes) -> bytes:
    """Returns the rows with one more, at its place in the order."""
    count, own_key = len(rows) // _ROW_SIZE, _sort_key(row, 0)
    if not rows or _sort_key(rows, count - 1) < own_key:  # the usual case: the new contact is the latest
        return rows + row
    start = _ROW_SIZE * bisect_left(range(count), own_key, key=lambda index: _sort_key(rows, index))
    return rows[:start] + row + rows[start:]


def _remove_row(rows: bytes, index: int) -> bytes:
    return rows[: index * _ROW_SIZE] + rows[(index + 1) * _ROW_SIZE :]


class Ledger(msgspec.Struct, frozen=True, dict=True):
    """A customer's contacts: all at or after `complete_from`, and every planned one.

    Every change returns a new ledger; equal ledgers pack to equal bytes.
    """

    packed_table: bytes = _EMPTY_TABLE
    """The attribute table, as msgpack."""
    packed_rows: bytes = b""
    """The rows, 44 bytes each."""
    complete_from: Instant = BEGINNING_OF_TIME

    @staticmethod
    def empty() -> "Ledger":
        """Returns the ledger of a customer who was never contacted."""
        return _EMPTY

    def pack(self) -> bytes:
        """Encodes the ledger; the module describes the layout."""
        return (
            _HEADER.pack(_FORMAT_VERSION, self.complete_from, len(self.packed_table))
            + self.packed_table
            + self.packed_rows
        )

    @staticmethod
    def unpack(packed: bytes) -> "Ledger":
        """Decodes what `pack` wrote. Raises ValueError for anything else."""
        try:
            version, complete_from, size = _HEADER.unpack_from(packed)
            if version != _FORMAT_VERSION:
                raise ValueError(f"ledger format {version} is unknown: this version reads format {_FORMAT_VERSION}")
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
        """The distinct message attributes of the contacts."""
        return _decode_attributes(self.packed_table)

    @cached_attribute
    def times(self) -> tuple[Instant, ...]:
        """The column `at`: when each contact counts, ascending."""
        return self._read_column(_TIME_COLUMN)

    @cached_attribute
    def event_hashes(self) -> tuple[int, ...]:
        """The column of event hashes."""
        return self._read_column(_EVENT_COLUMN)

    @cached_attribute
    def attribute_indexes(self) -> tuple[int, ...]:
        """The column of indexes into `attribute_table`."""
        return self._read_column(_ATTRIBUTES_COLUMN)

    @property
    def flags(self) -> bytes:
        """The column of flags, one byte per contact."""
        return self.packed_rows[_FLAGS_OFFSET::_ROW_SIZE]

    @property
    def row_bytes(self) -> tuple[bytes, ...]:
        """Each row as bytes. Comparable between ledgers only where one attribute table is a prefix of the other."""
        return self._read_column(_ROW_COLUMN)

    def _read_column(self, field: str) -> tuple[Any, ...]:
        return _column_format(field, len(self)).unpack(self.packed_rows)

    def row_at(self, index: int) -> LedgerRow:
        """Decodes the row at an index."""
        return LedgerRow._make(_ROW_FORMAT.unpack_from(self.packed_rows, index * _ROW_SIZE))

    def __iter__(self) -> Iterator[Contact]:
        return map(self.contact_at, range(len(self)))

    def __len__(self) -> int:
        return len(self.packed_rows) // _ROW_SIZE

    def find_contact(self, message_id: str) -> Contact | None:
        """Returns the contact of a message, or None."""
        index = self.index(message_id_bytes(message_id))
        return None if index is None else self.contact_at(index)

    def contacts_of_event(self, event_hash: int) -> tuple[Contact, ...]:
        """Returns the contacts planned or made because of one event."""
        if event_hash not in self.event_hashes:
            return ()
        return tuple([self.contact_at(index) for index, each in enumerate(self.event_hashes) if each == event_hash])

    def put_contact(self, contact: Contact) -> "Ledger":
        """Adds a contact, replacing the one of the same message."""
        attribute_table, packed_table = self.attribute_table, self.packed_table
        if contact.attributes in attribute_table:
            attributes_index = attribute_table.index(contact.attributes)
        else:
            attributes_index = len(attribute_table)
            packed_table = msgspec.msgpack.encode((*attribute_table, contact.attributes))
        flags = CONTACT_STATES.index(contact.state) | (REPORTED_FLAG if contact.reported else 0)
        raw = message_id_bytes(contact.message_id)
        row = _ROW_FORMAT.pack(
            *(raw, contact.event_hash, contact.at, contact.first_planned),
            *(attributes_index, contact.priority, flags),
        )
        index = self.index(raw)
        others = self.packed_rows if index is None else _remove_row(self.packed_rows, index)
        return Ledger(packed_table, _insert_row(others, row), self.complete_from)

    def put_reported_contact(self, contact: Contact) -> "Ledger":
        """Adds a contact that another tool made or will make: it has no rank and always counts."""
        return self.put_contact(contact._replace(state="made", reported=True))

    def claim_contact(self, message_id: str, at: Instant) -> "Ledger":
        """Marks a message's contact as made, counting at `at`. Raises KeyError when the message has no contact."""
        index = self.index(message_id_bytes(message_id))
        if index is None:
            raise KeyError(message_id)
        raw, event_hash, planned, first_planned, attributes_index, priority, flags = _ROW_FORMAT.unpack_from(
            self.packed_rows, index * _ROW_SIZE
        )
        if planned == at:
            return self._with_state(index, MADE)
        claimed_row = _ROW_FORMAT.pack(
            *(raw, event_hash, at, first_planned, attributes_index, priority, MADE | flags & REPORTED_FLAG)
        )
        return Ledger(
            self.packed_table, _insert_row(_remove_row(self.packed_rows, index), claimed_row), self.complete_from
        )

    def set_contact_state(self, message_id: str, state: ContactState) -> "Ledger":
        """Sets the state of a message's contact; does nothing when the contact has been forgotten."""
        index = self.index(message_id_bytes(message_id))
        return self if index is None else self._with_state(index, CONTACT_STATES.index(state))

    def _with_state(self, index: int, state: int) -> "Ledger":
        before, at = self.packed_rows, index * _ROW_SIZE + _FLAGS_OFFSET
        flag = bytes((state | before[at] & REPORTED_FLAG,))
        return Ledger(self.packed_table, before[:at] + flag + before[at + 1 :], self.complete_from)

    def release(self, message_id: str) -> "Ledger":
        """Removes the contact of a message, so that it no longer counts."""
        index = self.index(message_id_bytes(message_id))
        return (
            self
            if index is None
            else Ledger(self.packed_table, _remove_row(self.packed_rows, index), self.complete_from)
        )

    def forget(self, before: Instant) -> "Ledger":
        """Drops contacts made before an instant, and attributes that no contact has any more. Planned ones stay."""
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
        """Returns the index of a message's row, or None.

        A byte search takes 0.2 us on 64 contacts, decoding rows up to 25 us (`tests.bench.shortcuts`). It starts at
        the end because the latest contacts are looked up most.
        """
        found = self.packed_rows.rfind(raw)
        while found % _ROW_SIZE:  # the same bytes may stand across two fields; -1 is no multiple either
            if found < 0:
                return None
            found = self.packed_rows.rfind(raw, 0, found + len(raw) - 1)
        return found // _ROW_SIZE

    def contact_at(self, index: int) -> Contact:
        """Decodes the contact at an index."""
        raw, event_hash, at, first_planned, attributes_index, priority, flags = _ROW_FORMAT.unpack_from(
            self.packed_rows, index * _ROW_SIZE
        )
        state = CONTACT_STATES[flags & 3]
        return Contact(
            message_id_text(raw),
            event_hash,
            self.attribute_table[attributes_index],
            priority,
            at,
            first_planned,
            state,
            bool(flags & REPORTED_FLAG),
        )


_EMPTY: Final = Ledger()
