"""A process's share of a simulation's customers: which are its own, and a quick look at the events of the others."""

import zlib
from dataclasses import dataclass

import msgspec

from schemas.times import Instant, parse_instant


@dataclass(frozen=True, slots=True)
class CustomerShare:
    """The customers whose hash leaves `index` when it is divided by `count`."""

    index: int = 0
    count: int = 1

    def has(self, customer: str) -> bool:
        """Whether the customer is of this share."""
        return self.count == 1 or zlib.crc32(customer.encode("utf-8", "surrogatepass")) % self.count == self.index

    def time_of_others_event(self, line: bytes) -> Instant | None:
        """The time of an event of another share's customer; None for one of our own.

        Also None for a line that must be read in full to know, for example because it is no event.
        """
        if self.count == 1 or b"\\u" in line:
            return None
        try:
            found = _PEEK.decode(line)
            return None if self.has(found.subject) else parse_instant(found.time)
        except (msgspec.DecodeError, UnicodeError, ValueError):
            return None


class _Peek(msgspec.Struct):
    subject: str
    time: str


_PEEK = msgspec.json.Decoder(_Peek)

ALL_CUSTOMERS = CustomerShare()
