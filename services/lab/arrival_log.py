"""The log of a lab: one line of JSON for each request that has arrived, on disk before the request is answered.

So it holds every request that anybody has an answer to, whatever is killed and when. It holds no addresses and no
contents: a message is known by its id, and a body by its digest.
"""

import asyncio
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal, NamedTuple

import msgspec

from schemas.times import Instant, parse_instant

LOG_FILE: Final = "arrivals.jsonl"
MAX_ARRIVALS: Final = 500_000
"""Lines that a log may have: all messages and keys in it are kept in memory."""

ArrivalOutcome = Literal["accepted", "repeated", "refused", "not_read"]
"""accepted: the message is sent. repeated: the provider knew its key, so nothing more was sent. refused: nothing was
sent. not_read: the connection was closed before the body was read.
"""


class Arrival(msgspec.Struct, frozen=True, omit_defaults=True):
    """One request. `status`: of its answer, 0 for none. `fault`: what the script did to it. `digest`: of its body."""

    number: int
    at: str
    provider: str
    outcome: ArrivalOutcome
    message_id: str = ""
    key: str | None = None
    digest: str = ""
    provider_id: str = ""
    status: int = 0
    fault: str | None = None


class Acceptance(NamedTuple):
    """What a provider remembers of a key."""

    at: Instant
    digest: str
    provider_id: str


class LogUnusable(Exception):
    """The log cannot be written, is full, or is none of a lab; the text says what to do."""


class ArrivalLog:
    """The log of one lab, which no other process writes. Many requests share one write to the disk."""

    def __init__(self, path: Path) -> None:
        """Reads what is there; half a line at the end, which a crash has left, is removed. Raises LogUnusable."""
        self.path = path
        self._requests: dict[tuple[str, str], int] = {}
        self._acceptances: dict[tuple[str, str], Acceptance] = {}
        self.count = 0
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(self._file, _whole_lines(path))
            for arrival in read_arrivals(path):
                self._remember(arrival)
        except BlockingIOError:
            raise LogUnusable(f"another lab writes {path}: stop it, or choose another --data-dir") from None
        except OSError as error:
            raise LogUnusable(f"{path} cannot be used ({error.strerror}): choose another --data-dir") from None
        except msgspec.MsgspecError:
            raise LogUnusable(f"{path} is no log of a lab: choose another --data-dir") from None
        self._lines: list[bytes] = []
        self._added = self._durable = 0
        self._flush: asyncio.Task[None] | None = None
        self._failure: LogUnusable | None = None

    def count_requests(self, provider: str, message_id: str) -> int:
        """How often a message has arrived at a provider."""
        return self._requests.get((provider, message_id), 0)

    def find_acceptance(self, provider: str, key: str, since: Instant) -> Acceptance | None:
        """What was accepted under a key, if that was not before `since`."""
        found = self._acceptances.get((provider, key))
        return found if found is not None and found.at >= since else None

    def next_number(self) -> int:
        """The number of the next arrival."""
        return self.count + 1

    async def append(self, arrival: Arrival) -> None:
        """Returns once the line is on disk. What was accepted is known before that. Raises LogUnusable, and from then
        on always: a lab that loses arrivals would prove nothing.
        """
        if self._failure is None and self.count >= MAX_ARRIVALS:
            raise LogUnusable(f"{self.path} has {MAX_ARRIVALS} lines: start with another --data-dir")
        self._remember(arrival)
        self._lines.append(msgspec.json.encode(arrival) + b"\n")
        self._added += 1
        number = self._added
        while self._durable < number:
            if self._failure is not None:
                raise self._failure
            if self._flush is None:
                self._flush = asyncio.create_task(self._flush_lines())
            await asyncio.shield(self._flush)  # which others wait for, too, when this request is cancelled

    async def close(self) -> None:
        """Finishes what is being written, and closes the file."""
        if self._flush is not None:
            await self._flush
        os.close(self._file)

    async def _flush_lines(self) -> None:
        """Writes all lines that wait. After a failure nobody knows what is on disk, so it is the last one."""
        lines, self._lines, added = b"".join(self._lines), [], self._added
        try:
            await asyncio.to_thread(self._store, lines)
            self._durable = added
        except OSError as error:
            self._failure = LogUnusable(f"{self.path} cannot be written ({error.strerror}): stop the lab")
        finally:
            self._flush = None

    def _store(self, lines: bytes) -> None:
        while lines:
            lines = lines[os.write(self._file, lines) :]
        os.fsync(self._file)

    def _remember(self, arrival: Arrival) -> None:
        self.count = arrival.number
        place = arrival.provider, arrival.message_id
        self._requests[place] = self._requests.get(place, 0) + 1
        if arrival.outcome == "accepted" and arrival.key is not None:
            acceptance = Acceptance(parse_instant(arrival.at), arrival.digest, arrival.provider_id)
            self._acceptances[arrival.provider, arrival.key] = acceptance


def read_arrivals(path: Path, after: int = 0) -> Iterator[Arrival]:
    """The arrivals in a log with numbers above `after`. A last line without its end is none. Raises OSError, and
    MsgspecError for a line that is no arrival.
    """
    decoder = msgspec.json.Decoder(Arrival)
    with path.open("rb") as file:
        for line in file:
            if line.endswith(b"\n"):
                arrival = decoder.decode(line)
                if arrival.number > after:
                    yield arrival


def _whole_lines(path: Path) -> int:
    """The bytes of a file up to the end of its last whole line."""
    size = path.stat().st_size
    with path.open("rb") as file:
        while size:
            start = max(0, size - 65_536)
            file.seek(start)
            end = file.read(size - start).rfind(b"\n")
            if end >= 0:
                return start + end + 1
            size = start
    return 0
