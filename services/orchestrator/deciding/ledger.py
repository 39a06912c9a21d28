"""The contact ledger: every planned and made contact of one customer, as an immutable value.

Rows are plain tuples, as `struct` unpacks them, in ascending order of time, so that a rule counts without building
objects. Kinds (campaign, topic, channel, class, intent) are kept once in a table. Packed form: one version byte,
`complete_from`, the length of the table, the table as msgpack, then 44 bytes a row.
"""

import struct
from bisect import insort
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

import msgspec

from schemas.times import Instant
from services.orchestrator.deciding.scope import Kind

State = Literal["planned", "handing_over", "made", "unknown"]
Row = tuple[bytes, int, int, int, int, int, int]

STATES: Final[tuple[State, ...]] = ("planned", "handing_over", "made", "unknown")
ID: Final = 0
EVENT: Final = 1
AT: Final = 2
SINCE: Final = 3
KIND: Final = 4
PRIORITY: Final = 5
FLAGS: Final = 6
PLANNED: Final = 0
HANDING_OVER: Final = 1
REPORTED: Final = 4
BEGINNING: Final = -(2**63)

_VERSION: Final = 1
_HEAD: Final = struct.Struct("<BqI")
_ROW: Final = struct.Struct("<16sqqqHBB")
_KINDS: Final = msgspec.msgpack.Decoder(list[tuple[str, str | None, str, str, str | None]])


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


def _when(row: Row) -> tuple[Instant, bytes]:
    return row[AT], row[ID]


@dataclass(frozen=True, slots=True)
class Ledger:
    """A customer's contacts: everything at or after `complete_from`, and all that is planned or being handed over."""

    kinds: tuple[Kind, ...] = ()
    rows: tuple[Row, ...] = ()
    complete_from: Instant = BEGINNING

    @staticmethod
    def empty() -> "Ledger":
        """No contact, ever."""
        return _EMPTY

    def pack(self) -> bytes:
        """The ledger as bytes, equal for equal ledgers."""
        table = msgspec.msgpack.encode(self.kinds)
        rows = b"".join(_ROW.pack(*row) for row in self.rows)
        return _HEAD.pack(_VERSION, self.complete_from, len(table)) + table + rows

    @staticmethod
    def unpack(packed: bytes) -> "Ledger":
        """The ledger that `pack` wrote. Raises ValueError for anything else."""
        try:
            version, complete_from, size = _HEAD.unpack_from(packed)
            if version != _VERSION:
                raise ValueError(f"a ledger of form {version}, this program knows {_VERSION}")
            start = _HEAD.size + size
            kinds = tuple(map(Kind._make, _KINDS.decode(packed[_HEAD.size : start])))
            return Ledger(kinds, tuple(_ROW.iter_unpack(packed[start:])), complete_from)
        except (struct.error, msgspec.DecodeError) as error:
            raise ValueError(f"not a packed ledger: {error}") from None

    def __iter__(self) -> Iterator[Contact]:
        return map(self._contact, self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def find(self, message_id: str) -> Contact | None:
        """The message's contact, if it has one."""
        raw = raw_id(message_id)
        return next((self._contact(row) for row in self.rows if row[ID] == raw), None)

    def of_event(self, event: int) -> tuple[Contact, ...]:
        """The contacts that stem from an event."""
        return tuple([self._contact(row) for row in self.rows if row[EVENT] == event])

    def plan(self, contact: Contact) -> "Ledger":
        """With this contact in place of any other of the same message."""
        raw = raw_id(contact.message_id)
        kinds = self.kinds if contact.kind in self.kinds else (*self.kinds, contact.kind)
        rows = [row for row in self.rows if row[ID] != raw]
        flags = STATES.index(contact.state) | (REPORTED if contact.reported else 0)
        index, priority = kinds.index(contact.kind), contact.priority
        insort(rows, (raw, contact.event, contact.at, contact.since, index, priority, flags), key=_when)
        return Ledger(kinds, tuple(rows), self.complete_from)

    def report(self, contact: Contact) -> "Ledger":
        """With a contact that another tool made or will make: it has no rank and always counts."""
        return self.plan(contact._replace(state="made", reported=True))

    def mark(self, message_id: str, at: Instant) -> "Ledger":
        """The message's contact is being handed over, and counts at `at` from now on. Raises KeyError."""
        contact = self.find(message_id)
        if contact is None:
            raise KeyError(message_id)
        return self.plan(contact._replace(state="handing_over", at=at))

    def settle(self, message_id: str, state: State) -> "Ledger":
        """The message's contact is in this state from now on; one that was forgotten needs none."""
        contact = self.find(message_id)
        return self if contact is None else self.plan(contact._replace(state=state))

    def release(self, message_id: str) -> "Ledger":
        """Without the message's contact."""
        raw = raw_id(message_id)
        rows = tuple(row for row in self.rows if row[ID] != raw)
        return self if len(rows) == len(self.rows) else Ledger(self.kinds, rows, self.complete_from)

    def forget(self, before: Instant) -> "Ledger":
        """Without what was made before an instant, and without kinds that no contact has any more.

        What is planned or being handed over stays.
        """
        if before <= self.complete_from:
            return self
        kept = [row for row in self.rows if row[AT] >= before or row[FLAGS] in (PLANNED, HANDING_OVER)]
        used = sorted({row[KIND] for row in kept})
        moved = {old: new for new, old in enumerate(used)}
        rows = tuple((*row[:4], moved[row[KIND]], *row[5:]) for row in kept)
        return Ledger(tuple(self.kinds[index] for index in used), rows, before)

    def _contact(self, row: Row) -> Contact:
        raw, event, at, since, kind, priority, flags = row
        state = STATES[flags & 3]
        return Contact(text_id(raw), event, self.kinds[kind], priority, at, since, state, bool(flags & REPORTED))


_EMPTY: Final = Ledger()
