"""A customer event: a CloudEvent 1.0 about one customer, over Kafka (binary or structured mode) and HTTP.

The same validation applies to all of them. `data` stays raw JSON until a campaign or a situation needs it.
"""

from codecs import BOM_UTF8
from collections.abc import Collection, Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from schemas.documents import DocumentError, load_json
from schemas.ids import MAX_ID_BYTES, describe_invalid_id
from schemas.text import mark_half_pairs
from schemas.times import DAY, Instant, format_instant, parse_instant
from schemas.trace_context import BAD_TRACEPARENT, read_trace_id

MAX_EVENT_BYTES = 256 * 1024
CLOCK_TOLERANCE = DAY
EARLIEST_TIME = parse_instant("2000-01-01T00:00:00Z")
NO_DATA = msgspec.Raw(b"{}")

Headers = Sequence[tuple[str, bytes]]
T = TypeVar("T")


class InvalidEvent(ValueError):
    """An event that cannot be accepted. `pointer` is the place, the text the problem and its correction.

    `problems` has all of them, each as (JSON pointer, code, detail); the first is the one that the others repeat.
    """

    def __init__(
        self, pointer: str, detail: str, code: str = "bad_event", *, more: Sequence[tuple[str, str, str]] = ()
    ) -> None:
        super().__init__(detail)
        self.pointer = pointer
        self.detail = detail
        self.problems = ((pointer, code, detail), *more)

    @classmethod
    def of_problems(cls, problems: Sequence[tuple[str, str, str]]) -> "InvalidEvent":
        """The error with these problems, at least one."""
        (pointer, code, detail), *more = problems
        return cls(pointer, detail, code, more=more)


class Event(msgspec.Struct, frozen=True):
    """One immutable fact about one customer. `time` and `expirytime` are microseconds since 1970 UTC.

    `traceparent` is a W3C trace context, or None where the sender gave none that is right.
    """

    id: str
    source: str
    type: str
    subject: str
    time: Instant
    data: msgspec.Raw = NO_DATA
    expirytime: Instant | None = None
    traceparent: str | None = None

    @property
    def customer(self) -> str:
        """The customer's id: the CloudEvent's `subject`."""
        return self.subject


class _Envelope(msgspec.Struct):
    specversion: str = ""
    id: str = ""
    source: str = ""
    type: str = ""
    subject: str = ""
    time: str = ""
    data: msgspec.Raw = NO_DATA
    expirytime: str | None = None
    traceparent: Any = None
    data_base64: str | None = None


class EventIdentity(msgspec.Struct, frozen=True):
    """What a record says about itself, as far as it can be read: None where it cannot. Nothing of it is validated
    but that each part could be an id.
    """

    source: str | None
    id: str | None
    type: str | None
    customer: str | None


class _LooseIdentity(msgspec.Struct):
    id: Any = None
    source: Any = None
    type: Any = None


class _TypeOnly(msgspec.Struct):
    type: str = ""


class _SubjectOnly(msgspec.Struct):
    subject: str = ""


_ENVELOPE_DECODER = msgspec.json.Decoder(_Envelope)
_TYPE_DECODER = msgspec.json.Decoder(_TypeOnly)
_SUBJECT_DECODER = msgspec.json.Decoder(_SubjectOnly)
_IDENTITY_DECODER = msgspec.json.Decoder(_LooseIdentity)


def _decode(decoder: msgspec.json.Decoder[T], value: bytes) -> T:
    """Decode JSON. One half of a surrogate pair somewhere in it does not make all of it unreadable.

    Raises msgspec.DecodeError and UnicodeDecodeError, and nothing else: whoever reads a record of the log must survive
    whatever is in it, and the parser's own error for deep nesting, RecursionError, is easily forgotten.
    """
    value = value.removeprefix(BOM_UTF8)
    try:
        try:
            return decoder.decode(value)
        except msgspec.DecodeError:
            marked = mark_half_pairs(value)
            if marked is value:
                raise
            return decoder.decode(marked)
    except RecursionError:
        raise msgspec.DecodeError("it is nested too deeply") from None


def _find_header(headers: Headers, name: str) -> bytes | None:
    for key, value in headers:
        if key == name or key.lower() == name:
            return value
    return None


def is_binary(headers: Headers) -> bool:
    """Whether the record is in Kafka's binary mode, its envelope in `ce_*` headers."""
    return _find_header(headers, "ce_specversion") is not None or _find_header(headers, "ce_type") is not None


def peek_type(headers: Headers, value: bytes | None) -> str | None:
    """Read only the event's type: a header in binary mode, one field in structured mode.

    Cheap enough for every record of the log, most of which trigger nothing. Returns None if the type cannot be read;
    the full decoding then raises the error.
    """
    type_header = _find_header(headers, "ce_type")
    try:
        if type_header is not None:
            return type_header.decode()
        return _decode(_TYPE_DECODER, value).type or None if value else None
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def customers_of(key: bytes | None, headers: Headers, value: bytes | None) -> tuple[str, ...]:
    """Every customer whom a record that cannot be taken may concern: for their protection only.

    The customer of a readable event is its `subject` alone. When a record cannot be read, nobody knows which part of it
    is the wrong one, so these are all valid ids among its `ce_subject` header, the `subject` of its body (in structured
    mode: in binary mode the body is data) and its key; see docs/decisions/0014. Empty when there is none.
    """
    candidates = [_find_header(headers, "ce_subject"), None if is_binary(headers) else _peek_subject(value), key]
    customers: list[str] = []
    for candidate in candidates:
        try:
            customer = (candidate or b"").decode()
        except UnicodeDecodeError:
            continue
        if describe_invalid_id(customer) is None and customer not in customers:
            customers.append(customer)
    return tuple(customers)


def peek_identity(key: bytes | None, headers: Headers, value: bytes | None) -> EventIdentity:
    """Read what a record says about its identity, of a record that cannot be taken: for finding it again only."""
    parts: list[object]
    if is_binary(headers):
        parts = [_find_header(headers, name) for name in ("ce_source", "ce_id", "ce_type")]
    else:
        try:
            found = _decode(_IDENTITY_DECODER, value) if value else _LooseIdentity()
        except (msgspec.MsgspecError, UnicodeError):
            found = _LooseIdentity()
        parts = [found.source, found.id, found.type]
    customer = next(iter(customers_of(key, headers, value)), None)
    source, event_id, event_type = map(_readable_id, parts)
    return EventIdentity(source, event_id, event_type, customer)


def _readable_id(part: object) -> str | None:
    try:
        text = part.decode() if isinstance(part, bytes) else part
    except UnicodeDecodeError:
        return None
    return text if isinstance(text, str) and describe_invalid_id(text) is None else None


def _peek_subject(value: bytes | None) -> bytes | None:
    try:
        return _decode(_SUBJECT_DECODER, value).subject.encode() if value else None
    except (msgspec.MsgspecError, UnicodeError):
        return None


def decode_record(headers: Headers, value: bytes | None, now: Instant | None = None) -> Event:
    """Decode a Kafka record. With `now`, a time more than a day ahead is refused.

    Raises InvalidEvent for anything that is not one valid customer event.
    """
    if value is not None and len(value) > MAX_EVENT_BYTES:
        raise InvalidEvent("", f"the event is larger than {MAX_EVENT_BYTES} bytes")
    if is_binary(headers):
        return _validate_envelope(_from_headers(headers, value), now)
    if not value:
        raise InvalidEvent("", "the record has no value: an event needs a body or ce_* headers")
    return decode_event(value, now)


def decode_event(value: bytes, now: Instant | None = None) -> Event:
    """Decode an event from JSON in structured mode. Raises InvalidEvent."""
    if len(value) > MAX_EVENT_BYTES:
        raise InvalidEvent("", f"the event is larger than {MAX_EVENT_BYTES} bytes")
    try:
        envelope = _decode(_ENVELOPE_DECODER, value)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidEvent("", f"not a CloudEvent in JSON: {error}") from None
    return _validate_envelope(envelope, now)


def _from_headers(headers: Headers, value: bytes | None) -> _Envelope:
    envelope = _Envelope()
    for key, raw in reversed(headers):  # of a header that is repeated the first counts, as in `_find_header`
        name = key.lower()
        if not name.startswith("ce_") or name[3:] not in _Envelope.__struct_fields__ or name == "ce_data":
            continue
        try:
            setattr(envelope, name[3:], raw.decode())
        except UnicodeDecodeError:
            if name == "ce_traceparent":
                continue
            raise InvalidEvent(f"/{name[3:]}", "the header is not UTF-8") from None
    envelope.data = msgspec.Raw(value.removeprefix(BOM_UTF8)) if value else NO_DATA
    return envelope


def _validate_envelope(envelope: _Envelope, now: Instant | None) -> Event:
    if not _has_plain_ids(envelope) or envelope.specversion != "1.0" or envelope.data_base64 is not None:
        _check_attributes(envelope)
    time = _parse_time("/time", envelope.time)
    if time < EARLIEST_TIME:
        raise InvalidEvent("/time", "the time is before the year 2000: is the producer's clock set?")
    if now is not None and time > now + CLOCK_TOLERANCE:
        raise InvalidEvent("/time", "the time is more than a day in the future: is the producer's clock set?")
    expiry = None if envelope.expirytime is None else _parse_time("/expirytime", envelope.expirytime)
    return Event(
        envelope.id,
        envelope.source,
        envelope.type,
        envelope.subject,
        time,
        msgspec.Raw(bytes(envelope.data)),
        expiry,
        None if envelope.traceparent is None else _right_traceparent(envelope.traceparent),
    )


def _has_plain_ids(envelope: _Envelope) -> bool:
    """Whether all ids are right for the simplest of reasons: together they are short, and of visible ASCII characters.

    True of nearly all events, and much cheaper than four calls of `describe_invalid_id`.
    """
    if not (envelope.id and envelope.source and envelope.type and envelope.subject):
        return False
    ids = f"{envelope.id}{envelope.source}{envelope.type}{envelope.subject}"
    return len(ids) <= MAX_ID_BYTES and ids.isascii() and ids.isprintable() and " " not in ids


def _check_attributes(envelope: _Envelope) -> None:
    problems: list[tuple[str, str, str]] = []
    if envelope.specversion != "1.0":
        problems.append(("/specversion", "bad_event", "must be 1.0"))
    if envelope.data_base64 is not None:
        problems.append(("/data_base64", "bad_event", "binary data is not supported: send JSON in `data`"))
    for field in ("id", "source", "type", "subject"):
        problem = describe_invalid_id(getattr(envelope, field))
        if problem:
            hint = " (the customer's id)" if field == "subject" else ""
            problems.append((f"/{field}", "bad_event", f"`{field}`{hint} {problem}"))
    if problems:
        if not envelope.time:
            problems.append(("/time", "bad_event", "`time` is empty"))
        raise InvalidEvent.of_problems(problems)


def _right_traceparent(given: Any) -> str | None:
    """The trace context, if it is one. It says nothing about the customer, so a wrong one costs no event from the log;
    over HTTP its sender is told.
    """
    return given if isinstance(given, str) and read_trace_id(given) else None


def _parse_time(pointer: str, text: str) -> Instant:
    try:
        return parse_instant(text)
    except (ValueError, OverflowError) as error:
        raise InvalidEvent(pointer, str(error)) from None


def parse_data(event: Event, *, check_texts: bool = True) -> Mapping[str, Any]:
    """Parse the event's `data` strictly: no duplicate keys, no NaN, bounded depth and numbers.

    Raises InvalidEvent if it is not a JSON object, and, unless the caller does so, for text that cannot be kept.
    """
    try:
        data = load_json(bytes(event.data), check_texts=check_texts)
    except DocumentError as error:
        problems = [(f"/data{pointer}", code, detail) for pointer, code, detail in error.errors]
        raise InvalidEvent.of_problems(problems) from None
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise InvalidEvent("/data", "must be a JSON object", "wrong_type")
    return data


def parse_request(body: bytes, batch: bool, now: Instant, any_data: Collection[str] = ()) -> list[Event | InvalidEvent]:
    """The events of an HTTP request, each one valid or an error. `any_data`: types whose data may hold anything.

    Raises InvalidEvent if the body as a whole cannot be read.
    """
    if not batch:
        return [_parse_event(body, now, any_data)]
    try:
        items = msgspec.json.decode(mark_half_pairs(body.removeprefix(BOM_UTF8)), type=list[msgspec.Raw])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidEvent("", f"not a JSON array of CloudEvents: {error}") from None
    if len(items) > 1000:
        raise InvalidEvent("", "more than 1,000 events in one request")
    return [_parse_event(bytes(item), now, any_data) for item in items]


def _parse_event(body: bytes, now: Instant, any_data: Collection[str]) -> Event | InvalidEvent:
    try:
        if peek_type((), body) in any_data:
            return decode_event(body, now)
        document = load_json(body)
        event = decode_event(body, now)
        if event.traceparent is None and isinstance(document, dict) and document.get("traceparent") is not None:
            raise InvalidEvent("/traceparent", BAD_TRACEPARENT)
        parse_data(event)
        return event
    except DocumentError as error:
        return InvalidEvent.of_problems(error.errors)
    except InvalidEvent as error:
        return error


def comparable_data(event: Event) -> object:
    """The data as plain values, to compare two events: spelling does not count. Data that are no JSON, as they came."""
    raw = bytes(event.data) or b"null"
    try:
        return msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return raw


def encode_event(event: Event) -> bytes:
    """Encode an event as JSON in structured mode."""
    document: dict[str, Any] = {
        "specversion": "1.0",
        "id": event.id,
        "source": event.source,
        "type": event.type,
        "subject": event.subject,
        "time": format_instant(event.time),
        "data": event.data,
    }
    if event.expirytime is not None:
        document["expirytime"] = format_instant(event.expirytime)
    if event.traceparent is not None:
        document["traceparent"] = event.traceparent
    return msgspec.json.encode(document)
