"""HTTP routes of events: events are validated as those from Kafka are, and are durable in the log before the answer."""

from codecs import BOM_UTF8
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Any, Literal, NotRequired
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request
from starlette.responses import JSONResponse, Response
from typing_extensions import TypedDict

from schemas.addresses import find_unusable
from schemas.decision import to_document
from schemas.event import Event, InvalidEvent, decode_event, encode_event, parse_request
from schemas.own_events import CUSTOMER_ERASED, CheckedData, EventProblem, check_event, is_own, is_unknown_own
from schemas.times import SECOND, Instant, format_instant, parse_duration
from services.kit import errors
from services.kit.bus.fence import WakeSignal, read_applied_offsets, wait_until_applied
from services.kit.bus.protocol import Bus, Outgoing, Partition
from services.kit.db.database import Database
from services.kit.errors import FenceTimeout, Invalid, Malformed, NotFound, Problem, Transient
from services.kit.http.answer_types import ProblemFields, TimeText
from services.kit.http.auth import Principal, requires
from services.kit.http.openapi import answers
from services.kit.http.problems import WrongMediaType
from services.kit.http.request_body import described_body, document
from services.kit.runtime.clock import Clock
from services.orchestrator.campaigns.snapshot import CatalogueSnapshot
from services.orchestrator.decisions import read_store
from services.orchestrator.decisions import store as data_plane
from services.orchestrator.decisions.accepted_events import AcceptedEvent, find_accepted, is_applied, record_accepted
from services.orchestrator.decisions.decision_fields import DecisionFields
from services.orchestrator.decisions.event_notes import (
    Note,
    note_data,
    note_triggers,
    note_types,
    situation_kinds,
)
from services.orchestrator.decisions.metrics import IngestMetrics
from services.orchestrator.decisions.store import EventKey, event_key
from services.orchestrator.policy.match import Catalogue

EVENT_MEDIA_TYPES = ("application/cloudevents+json", "application/json")
BATCH_MEDIA_TYPE = "application/cloudevents-batch+json"
MAX_EVENT_WAIT = 30 * SECOND
DATABASE_SECONDS = 3.0
"""Seconds that the database may take for one step of a request: who sends events is answered within 5 s."""
PUBLISH_RETRY_AFTER = 5.0
"""Seconds after which a caller may send events again that could not be published."""


class NoteFields(TypedDict):
    """What to know about an event that was accepted. `nearest`: types that something listens to."""

    pointer: str
    code: str
    detail: str
    nearest: NotRequired[list[str]]


class EventItem(TypedDict):
    """What became of one event of the request."""

    event_id: str | None
    source: NotRequired[str]
    status: Literal["accepted", "duplicate", "invalid"]
    status_url: str | None
    errors: NotRequired[list[ProblemFields]]
    notes: NotRequired[list[NoteFields]]
    decisions: NotRequired[list[DecisionFields]]


class EventItems(TypedDict):
    """One item for each event, in order."""

    items: list[EventItem]


class EventAnswer(TypedDict):
    """An event with its decisions. `decided`: whether there will be no more; `notes`: what to know about its type."""

    event_id: str
    source: str
    type: str
    customer: str
    time: TimeText
    status: Literal["accepted"]
    decided: bool
    notes: list[NoteFields]
    decisions: list[DecisionFields]


_EVENT = document("event")
_EVENTS_BODY = described_body(
    dict.fromkeys(EVENT_MEDIA_TYPES, _EVENT) | {BATCH_MEDIA_TYPE: {"type": "array", "maxItems": 1000, "items": _EVENT}},
    examples={
        "a delivery": {
            "specversion": "1.0",
            "id": "order-4711-delivered",
            "source": "/shop/orders",
            "type": "shop.order.delivered",
            "subject": "ada",
            "time": "2026-03-02T09:00:00Z",
            "data": {"order": "4711", "total": 80.5},
        }
    },
)
WaitParam = Annotated[str | None, Query(description="How long to wait for the decisions, such as 5s; at most 30s")]


@dataclass(frozen=True, slots=True)
class EventLog:
    """Where events are published, and how a request learns that they have been decided."""

    bus: Bus
    topic: str
    database: Database
    wake_signal: WakeSignal
    snapshot: CatalogueSnapshot
    region: str | None = None
    """The organisation's country, in which telephone numbers in national form are read."""
    ingest_metrics: IngestMetrics | None = None
    """Counts received events; None in tests."""

    async def catalogue(self) -> Catalogue:
        """The campaigns and the policy of now."""
        async with self.database.answering_within(DATABASE_SECONDS), self.database.read() as tx:
            return await self.snapshot.get_catalogue(tx)


def event_routes(log: EventLog, clock: Clock) -> APIRouter:
    """The routes of `/v1/events`."""
    routes = APIRouter(prefix="/v1/events", tags=["events"])

    @routes.post(
        "",
        summary="Send one CloudEvent, or a batch of them",
        dependencies=[_EVENTS_BODY],
        **answers({202: EventItems}, errors.BusGone),
    )
    async def send_events(
        request: Request, wait: WaitParam = None, _: Principal = requires("events:write")
    ) -> Response:
        seconds = _parse_wait(wait)
        catalogue = await log.catalogue()
        parsed = await _parse_request(request, clock, log, catalogue)
        published = await _publish_new(log, [event for event in parsed if isinstance(event, Event)], clock.now())
        _count_received(log.ingest_metrics, parsed, published, clock)
        decided = seconds is not None and await _wait_until_decided(log, published.end_positions, seconds)
        notes = note_types((event.type for event in parsed if isinstance(event, Event)), catalogue)
        items = [await _item_document(log, event, published, decided, catalogue, notes) for event in parsed]
        return JSONResponse({"items": items}, 202)

    @routes.get(
        "",
        summary="An event with its decisions; one of which nothing came is known for 7 days",
        **answers({200: EventAnswer}, errors.NotFound, errors.BusGone),
    )
    async def get_event(
        source: Annotated[str, Query(min_length=1)],
        id: Annotated[str, Query(min_length=1)],
        customer: str | None = None,
        wait: WaitParam = None,
        _: Principal = requires("events:read"),
    ) -> dict[str, Any]:
        found = await _find_event(log, source, id, customer, _parse_wait(wait))
        if isinstance(found, Event):
            return {
                **_event_document(found),
                "decided": True,
                "notes": [],
                "decisions": await _decision_documents(log.database, found),
            }
        if found is None:
            raise NotFound(
                "no event of this source and id has been accepted in the last 7 days, or has triggered or changed "
                "anything before"
            )
        async with log.database.read() as tx:
            decided = is_applied(found, await read_applied_offsets(tx))
        return {
            **_accepted_document(found),
            "decided": decided,
            "notes": note_types([found.type], await log.catalogue())[found.type],
            "decisions": [],
        }

    return routes


@dataclass(frozen=True, slots=True)
class _PublishResult:
    """Which events had been decided before, which are new, and the log positions after the new ones."""

    known_keys: frozenset[EventKey]
    new_keys: frozenset[EventKey]
    end_positions: Mapping[Partition, int]


async def _parse_request(
    request: Request, clock: Clock, log: EventLog, catalogue: Catalogue
) -> list[Event | InvalidEvent]:
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != BATCH_MEDIA_TYPE and media_type not in EVENT_MEDIA_TYPES:
        raise WrongMediaType(f"send one event as {' or '.join(EVENT_MEDIA_TYPES)}, several as {BATCH_MEDIA_TYPE}")
    body = await request.body()
    if media_type != BATCH_MEDIA_TYPE and body.removeprefix(BOM_UTF8).lstrip().startswith(b"["):
        raise Malformed(f"the body is a list of events: send it as {BATCH_MEDIA_TYPE}")
    try:
        parsed = parse_request(body, media_type == BATCH_MEDIA_TYPE, clock.now(), any_data=(CUSTOMER_ERASED,))
    except InvalidEvent as error:
        raise Malformed(error.detail, errors=_to_problems(error)) from None
    checked = [_check_parts(event, catalogue) for event in parsed]
    if media_type != BATCH_MEDIA_TYPE and isinstance(checked[0], InvalidEvent):
        raise Invalid("the event cannot be taken; see errors.", errors=_to_problems(checked[0]))
    return checked


def _check_parts(event: Event | InvalidEvent, catalogue: Catalogue) -> Event | InvalidEvent:
    """The event, or what is wrong with it: one of our own types is refused for any bad part of its data."""
    if isinstance(event, InvalidEvent) or not (is_own(event.type) or is_unknown_own(event.type)):
        return event
    checked = check_event(event, situation_kinds(catalogue))
    problems = [*checked.problems, *_unusable_addresses(checked)]
    return InvalidEvent.of_problems(problems) if problems else event


def _unusable_addresses(checked: CheckedData) -> Iterator[EventProblem]:
    """What is wrong with addresses, in the country that the event names, else whatever the customer's country.

    A number in national form may be right in the country that is known of the customer, which is not asked here.
    """
    if checked.customer is None:
        return
    entries = [(entry.channel.value, entry.address) for entry in checked.customer.addresses]
    for unusable in find_unusable(entries, checked.customer.country):
        if unusable.code != "country_unknown":
            yield f"/data/addresses/{unusable.position}/address", unusable.code, unusable.detail


async def _publish_new(log: EventLog, events: Sequence[Event], now: Instant) -> _PublishResult:
    """Append new events to the log, durably. An event that the request repeats is appended once, as it came first."""
    async with log.database.answering_within(DATABASE_SECONDS), log.database.read() as tx:
        known = await data_plane.known_event_keys(tx, [event_key(event) for event in events])
    new_events: dict[EventKey, Event] = {}
    for event in events:
        if event_key(event) not in known:
            new_events.setdefault(event_key(event), event)
    headers = (("content-type", b"application/cloudevents+json"),)
    with _telling_to_send_again():
        log_positions = await log.bus.publish(
            [Outgoing(log.topic, event.subject.encode(), encode_event(event), headers) for event in new_events.values()]
        )
        if new_events:
            async with log.database.answering_within(DATABASE_SECONDS), log.database.write() as tx:
                await record_accepted(tx, list(new_events.values()), log_positions, now)
    after: dict[Partition, int] = {}
    for partition, offset in log_positions:
        after[partition] = max(after.get(partition, 0), offset + 1)
    return _PublishResult(frozenset(known), frozenset(new_events), after)


@contextmanager
def _telling_to_send_again() -> Iterator[None]:
    """Says in the error what may have become of events that were on their way to the log, and what to do."""
    try:
        yield
    except Transient as error:
        raise type(error)(
            f"{error.detail}. Send the same request again later: an event that has reached the log all the same has "
            "one effect, by its source and id",
            retry_after=max(error.retry_after, PUBLISH_RETRY_AFTER),
            code=error.code,
        ) from error


def _count_received(
    ingest_metrics: IngestMetrics | None,
    parsed: Sequence[Event | InvalidEvent],
    published: _PublishResult,
    clock: Clock,
) -> None:
    if ingest_metrics is None:
        return
    now, valid_events = clock.now(), [event for event in parsed if isinstance(event, Event)]
    ages = {
        event_key(event): (now - event.time) / SECOND
        for event in valid_events
        if event_key(event) in published.new_keys
    }
    ingest_metrics.record_request(
        list(ages.values()), duplicates=len(valid_events) - len(ages), invalid=len(parsed) - len(valid_events)
    )


async def _wait_until_decided(log: EventLog, after: Mapping[Partition, int], seconds: float) -> bool:
    try:
        await wait_until_applied(log.database, after, seconds, log.wake_signal)
    except FenceTimeout:
        return False
    return True


async def _item_document(
    log: EventLog,
    event: Event | InvalidEvent,
    published: _PublishResult,
    decided: bool,
    catalogue: Catalogue,
    type_notes: Mapping[str, list[Note]],
) -> dict[str, Any]:
    if isinstance(event, InvalidEvent):
        errors = [each.as_document() for each in _to_problems(event)]
        return {"event_id": None, "status": "invalid", "errors": errors, "status_url": None}
    item: dict[str, Any] = {
        "event_id": event.id,
        "source": event.source,
        "status": "duplicate" if event_key(event) in published.known_keys else "accepted",
        "status_url": f"/v1/events?{urlencode({'source': event.source, 'id': event.id, 'customer': event.subject})}",
        "notes": [
            *type_notes[event.type],
            *note_triggers(event, catalogue),
            *(note_data(check_event(event), catalogue, log.region) if is_own(event.type) else ()),
        ],
    }
    if decided:
        item["decisions"] = await _decision_documents(log.database, event)
    return item


async def _find_event(
    log: EventLog, source: str, id: str, customer: str | None, seconds: float | None
) -> Event | AcceptedEvent | None:
    async with log.database.read() as tx:
        found = await read_store.get_event(tx, source, id, customer)
    if found is None and seconds is not None:
        end_offsets = await log.bus.end_offsets(log.topic)
        await _wait_until_decided(log, end_offsets, seconds)
        async with log.database.read() as tx:
            found = await read_store.get_event(tx, source, id, customer)
    if found is not None:
        return decode_event(found)
    async with log.database.read() as tx:
        return await find_accepted(tx, source, id, customer)


async def _decision_documents(database: Database, event: Event) -> list[dict[str, Any]]:
    async with database.read() as tx:
        stored = await read_store.list_event_decisions(tx, *event_key(event))
    return [{"decision_id": item.decision_id, **to_document(item.decision)} for item in stored]


def _event_document(event: Event) -> dict[str, Any]:
    return {
        "event_id": event.id,
        "source": event.source,
        "type": event.type,
        "customer": event.subject,
        "time": format_instant(event.time),
        "status": "accepted",
    }


def _accepted_document(event: AcceptedEvent) -> dict[str, Any]:
    return {
        "event_id": event.event_id,
        "source": event.source,
        "type": event.type,
        "customer": event.customer,
        "time": format_instant(event.time),
        "status": "accepted",
    }


def _to_problems(error: InvalidEvent) -> list[Problem]:
    return [Problem(*each) for each in error.problems]


def _parse_wait(wait: str | None) -> float | None:
    if wait is None:
        return None
    try:
        span = parse_duration(wait)
    except ValueError as error:
        raise Invalid(
            "`wait` cannot be read; see errors.", errors=[Problem("/query/wait", "bad_duration", str(error))]
        ) from None
    if span > MAX_EVENT_WAIT:
        problem = Problem("/query/wait", "too_long", "wait at most 30s; then ask again with GET")
        raise Invalid("`wait` is too long; see errors.", errors=[problem])
    return span / SECOND
