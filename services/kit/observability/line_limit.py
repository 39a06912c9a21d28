"""A limit on repeated log lines: a client library that cannot reach its server writes the same line a hundred times a
second, for as long as that lasts.

Limited are the lines of libraries, and our own warnings, which say that something is tried again; but not those about
a request, whose trace id somebody may look for. Equal lines are written once a minute, each with the number that was
left out before it (`left_out`). Lines of libraries are equal when their text before its values are filled in is,
numbers aside; ours, when all fields but durations are.
"""

import logging
import re
import time
from collections.abc import Callable, Hashable

WINDOW = 60.0
"""Seconds between two equal lines."""
MAX_LINES = 1000
"""Lines remembered. Beyond, the oldest is forgotten, and may be written again sooner."""
_NUMBER = re.compile(r"0x[0-9a-f]+|\d+")


class LineLimit(logging.Filter):
    """Drops records that repeat another; `left_out` of a record is how many equal ones were dropped before it."""

    def __init__(
        self, own_logger: str, in_request: Callable[[], bool], monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__()
        self._in_request = in_request
        self._own_logger = own_logger
        self._monotonic = monotonic
        self._seen: dict[Hashable, tuple[float, int]] = {}
        """For each line: when it was last written, and how many have been left out since."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether to write the record."""
        if record.name == self._own_logger and (record.levelno != logging.WARNING or self._in_request()):
            return True
        line, now = self._identity(record), self._monotonic()
        written, left_out = self._seen.get(line, (-WINDOW, 0))
        if now - written < WINDOW:
            self._seen[line] = (written, left_out + 1)
            return False
        self._seen.pop(line, None)
        while len(self._seen) >= MAX_LINES:
            del self._seen[next(iter(self._seen))]
        self._seen[line] = (now, 0)
        record.left_out = left_out
        return True

    def _identity(self, record: logging.LogRecord) -> Hashable:
        fields = getattr(record, "fields", None) if record.name == self._own_logger else None
        if isinstance(fields, dict):
            stable = {name: value for name, value in fields.items() if not isinstance(value, float | list)}
            return record.msg, tuple(sorted((name, str(value)) for name, value in stable.items()))
        error = record.exc_info[0] if record.exc_info else None
        return record.name, record.levelno, _NUMBER.sub("#", str(record.msg)), error
