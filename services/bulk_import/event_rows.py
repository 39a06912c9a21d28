"""Rows that say what an event would say: an imported row becomes such an event, and is checked and applied as one.

The event's source is the import and its id the number of the line. So whatever keeps events apart keeps rows apart.
Where an event with a bad part is applied without it, a row is refused as a whole: whoever imports reads the results.
"""

from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

import msgspec

from schemas.documents import DocumentError, did_you_mean, validate_document
from schemas.event import EARLIEST_TIME, Event
from schemas.fields import CustomerId, Document
from schemas.own_events import CheckedData, check_event
from schemas.times import Instant, parse_instant
from services.bulk_import.import_store import ImportJob


class _Subject(Document):
    """Whom a row is about."""

    customer: CustomerId


class EventRow(NamedTuple):
    """The event of a row, its checked data, and the plain values that the row had."""

    event: Event
    checked: CheckedData
    plain: Mapping[str, Any]

    def numbered(self, number: int) -> Event:
        """The event, with the id that the row's line gives it."""
        return msgspec.structs.replace(self.event, id=f"row-{number}")


def source_of(job: ImportJob) -> str:
    """The source of the events of an import."""
    return f"imports/{job.id}"


def check_names(plain: object, known: Collection[str]) -> Mapping[str, Any]:
    """The fields of a row. Raises DocumentError for what is no object, and for a field that no row has."""
    if not isinstance(plain, Mapping):
        raise DocumentError([("", "wrong_type", "the row must be an object with fields")])
    for name in plain:
        if name not in known:
            raise DocumentError([(f"/{name}", "unknown_field", "no field of such a row")])
    return plain


def read_customer(plain: Mapping[str, Any]) -> str:
    """Whom the row is about. Raises DocumentError."""
    if "customer" not in plain:
        raise DocumentError([("/customer", "missing", "say whom the row is about by `customer`")])
    return validate_document(_Subject, {"customer": plain["customer"]}).customer


def check_word(plain: Mapping[str, Any], name: str, words: Collection[str]) -> None:
    """Raise DocumentError for a field that has another word than one of these; one that is left out is none."""
    value = plain.get(name)
    if value is None or (isinstance(value, str) and value in words):
        return
    similar = did_you_mean(value, words) if isinstance(value, str) else ""
    raise DocumentError([(f"/{name}", f"unknown_{name}", f"must be one of {', '.join(words)}{similar}")])


def read_time(plain: Mapping[str, Any], name: str, otherwise: Instant, job: ImportJob) -> Instant:
    """When what the row says was so; `otherwise` where it does not say. Raises DocumentError for what is no instant,
    or not of the past: nothing that the future holds is imported.
    """
    value = plain.get(name)
    if value is None:
        return otherwise
    try:
        at = parse_instant(value) if isinstance(value, str) else None
    except ValueError:
        at = None
    if at is None:
        raise DocumentError([(f"/{name}", "bad_time", "not an instant in RFC 3339, such as 2026-03-02T10:00:00Z")])
    if not EARLIEST_TIME <= at <= job.created:
        raise DocumentError([(f"/{name}", "bad_time", "must lie between the year 2000 and the start of the import")])
    return at


def make_event_row(
    job: ImportJob, plain: Mapping[str, Any], type: str, at: Instant, data: Mapping[str, Any], prefix: str = "/data"
) -> EventRow:
    """The event of a row. `prefix`: what stands before the names of the row's fields in pointers into the event.

    Raises DocumentError for what is wrong with the event.
    """
    raw = msgspec.Raw(msgspec.json.encode(data))
    event = Event(id="row", source=source_of(job), type=type, subject=read_customer(plain), time=at, data=raw)
    checked = check_event(event)
    if checked.problems:
        raise DocumentError(
            [(pointer.removeprefix(prefix), code, detail) for pointer, code, detail in checked.problems]
        )
    return EventRow(event, checked, plain)
