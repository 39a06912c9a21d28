"""Logs: one JSON line for one record, on stderr, with ids and never with what a customer may read or be reached by.

Keys of a line, in this order: time, level, service, action, trace_id, then what `context` holds, then the fields.
"""

import json
import logging
import re
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Literal, TextIO

from services.kit.errors import TactfulError

Level = Literal["debug", "info", "warning", "error", "critical"]
LEVELS: Mapping[Level, int] = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "critical": logging.CRITICAL,
}
REFUSED_VALUE = "[refused]"
MAX_TEXT_LENGTH = 500

trace_id: ContextVar[str] = ContextVar("trace_id", default="")
"""The trace of the request or record in work: 32 hexadecimal digits, or empty."""

_context: ContextVar[Mapping[str, object]] = ContextVar("log_context", default={})  # noqa: B039 - never changed
_logger = logging.getLogger("tactful")
_PERSONAL_FIELD = re.compile(
    r"(?:^|_)(?:addresse?s?|emails?|phones?|mobile|msisdn|content|subject|body|text|tokens?|traits?|names?|secrets?"
    r"|passwords?|authorization|cookies?|key|args|payload|data|value)$"
)
_ALLOWED_FIELDS = frozenset({"campaign_key", "hold_key", "idempotency_key", "metric_name"})
_SECRET_PATTERNS = (
    re.compile(r"[^\s@<>\"'(),;:=]+@[^\s@<>\"'(),;:]+"),
    re.compile(r"\+[0-9][0-9 ().-]{5,18}[0-9]"),
    re.compile(r"\btk_[A-Za-z0-9_-]{8,}"),
    re.compile(r"\beyJ[A-Za-z0-9_-]{8,}[A-Za-z0-9_.-]*"),
    re.compile(r"(?<=://)[^/\s:@]*:[^/\s@]*(?=@)"),
)


def log(action: str, level: Level = "info", **fields: object) -> None:
    """Write one line. `action` is a stable snake_case name; ids, counts and closed words go into the fields.

    A field whose name speaks of personal data or of a secret is written as "[refused]"; so is a value that is not
    a number, a truth value, text or a short list of these. Anything in a text that looks like an address, a phone
    number or a key is cut out.
    """
    number = LEVELS[level]
    if _logger.isEnabledFor(number):
        _logger.log(number, action, extra={"fields": fields})


def log_error(action: str, error: BaseException, level: Level = "error", **fields: object) -> None:
    """Write one line about an exception: its class, where it was raised, and our own errors' code.

    The message of a foreign exception may hold a customer's data, so it is not written.
    """
    log(
        action, level, error_class=_class_name(error), error_at=_traceback_frames(error), **_error_code(error), **fields
    )


@contextmanager
def log_context(**fields: object) -> Iterator[None]:
    """Every line written inside carries these fields too, in this task and in those that it starts."""
    token = _context.set({**_context.get(), **fields})
    try:
        yield
    finally:
        _context.reset(token)


def configure_logging(
    service: str, *, level: Level = "info", stream: TextIO | None = None, on_line: Callable[[str], None] | None = None
) -> None:
    """Send all logging of this process, libraries and uvicorn included, to `stream` [stderr] as JSON lines.

    `seen` is called with the level's name for each line: metrics.count_logs makes one. May be called again: the last
    call counts. Libraries are heard from "warning" on; uvicorn's access lines are not, since they hold whole URLs.
    """
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(_JsonFormatter(service, on_line))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    _logger.setLevel(LEVELS[level])
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        library = logging.getLogger(name)
        library.handlers.clear()
        library.propagate = name != "uvicorn.access"
    logging.getLogger("uvicorn.access").disabled = True
    logging.captureWarnings(True)


def clean_value(value: object) -> object:
    """The value as it may be written: see `log`."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, list | tuple | set | frozenset) and len(value) <= 20:
        items = sorted(value, key=str) if isinstance(value, set | frozenset) else value
        return [clean_value(item) if isinstance(item, str | int | float) else REFUSED_VALUE for item in items]
    return REFUSED_VALUE


def redact(text: str) -> str:
    """The text without what looks like an address, a phone number, a key or a password in a URL; 500 characters."""
    text = text[:MAX_TEXT_LENGTH]
    for pattern in _SECRET_PATTERNS:
        text = pattern.sub("[redacted]", text)
    return text


class _JsonFormatter(logging.Formatter):
    """A logging record as one line of JSON."""

    def __init__(self, service: str, on_line: Callable[[str], None] | None) -> None:
        super().__init__()
        self._service = service
        self._on_line = on_line

    def format(self, record: logging.LogRecord) -> str:
        level = record.levelname.lower()
        if self._on_line is not None:
            self._on_line(level)
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line: dict[str, object] = {"time": at.replace("+00:00", "Z"), "level": level, "service": self._service}
        ours = record.name == _logger.name
        line["action"] = record.getMessage() if ours else "library"
        line["trace_id"] = trace_id.get()
        fields = getattr(record, "fields", {}) if ours else _library_fields(record)
        for name, value in {**_context.get(), **fields}.items():
            line[name if name not in line else f"{name}_"] = (
                REFUSED_VALUE if _is_personal_field(name) else clean_value(value)
            )
        return json.dumps(line)


def _is_personal_field(name: str) -> bool:
    return name not in _ALLOWED_FIELDS and _PERSONAL_FIELD.search(name.lower()) is not None


def _library_fields(record: logging.LogRecord) -> dict[str, object]:
    fields: dict[str, object] = {"logger": record.name}
    error = record.exc_info[1] if record.exc_info else None
    if error is None:
        fields["message"] = record.getMessage()
    else:
        fields |= {"error_class": _class_name(error), "error_at": _traceback_frames(error)}
    return fields


def _error_code(error: BaseException) -> dict[str, object]:
    return {"error_code": error.code} if isinstance(error, TactfulError) else {}


def _class_name(error: BaseException) -> str:
    kind = type(error)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _traceback_frames(error: BaseException) -> list[str]:
    frames = traceback.extract_tb(error.__traceback__)[-8:]
    return [f"{'/'.join(frame.filename.split('/')[-3:])}:{frame.lineno} {frame.name}" for frame in frames]
