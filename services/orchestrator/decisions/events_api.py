"""HTTP routes of events: events are validated as those from Kafka are, and are durable in the log before the answer."""

import asyncio
from collections.abc import Mapping
from typing import Annotated, Any, Literal, NotRequired
from urllib.parse import urlencode

import msgspec
from fastapi import APIRouter, Query, Request
from starlette.responses import Response
from typing_extensions import TypedDict

from schemas.decision import to_document
from schemas.event import Event, InvalidEvent, decode_event
from schemas.event_sources import covers
from schemas.own_event_actions import OWN_EVENT_ACTIONS
from schemas.own_events import check_event, is_own
from schemas.roles import is_allowed
from schemas.times import SECOND, format_instant, parse_duration
from services.erasure.erased_customers import CustomerErased
from services.kit import errors
from services.kit.bus.fence import read_applied_offsets, wait_until_applied
from services.kit.bus.protocol import Partition
from services.kit.db.database import Database
from services.kit.errors import FenceTimeout, Invalid, NotFound, Problem
from services.kit.http.answer_types import ProblemFields, TimeText
from services.kit.http.audit_trail import note_customer
from services.kit.http.auth import Principal, requires
from services.kit.http.openapi import answers
from services.kit.http.request_body import described_body, document
from services.kit.runtime.clock import Clock
from services.kit.runtime.loop_share import LoopShare
from services.orchestrator.decisions import read_store
from services.orchestrator.decisions.accepted_events import AcceptedEvent, find_accepted, is_applied
from services.orchestrator.decisions.decision_fields import DecisionFields
from services.orchestrator.decisions.event_intake import (
    BATCH_MEDIA_TYPE,
    EVENT_MEDIA_TYPES,
    SMALL_DATA,
    EventLog,
    PublishResult,
    count_received,
    find_reused,
    publish_new,
    read_events,
    refuse_erased,
    to_problems,
)
from services.orchestrator.decisions.event_notes import (
    Note,
    note_data,
    note_triggers,
    note_types,
)
from services.orchestrator.decisions.store import event_key
from services.orchestrator.policy.match import Catalogue

MAX_EVENT_WAIT = 30 * SECOND


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
_REUSED_ID: Note = {
    "pointer": "/id",
    "code": "id_reused",
    "detail": "an event of this source and id was taken before with another content; that one counts, and this one "
    "changes nothing: give each event an id of its own",
}
WaitParam = Annotated[str | None, Query(description="How long to wait for the decisions, such as 5s; at most 30s")]


def event_routes(log: EventLog, clock: Clock) -> APIRouter:
    """The routes of `/v1/events`."""
    routes = APIRouter(prefix="/v1/events", tags=["events"])

    @routes.post(
        "",
        summary="Send one CloudEvent, or a batch of them",
        dependencies=[_EVENTS_BODY],
        **answers({202: EventItems}, errors.BusGone, CustomerErased),
    )
    async def send_events(
        request: Request,
        wait: WaitParam = None,
        principal: Principal = requires("events:write", asks_also=frozenset(OWN_EVENT_ACTIONS.values())),
    ) -> Response:
        seconds = _parse_wait(wait)
        catalogue = await log.catalogue()
        parsed = await read_events(request, principal, clock, log, catalogue)
        for event in parsed:
            if isinstance(event, Event):
                note_customer(event.customer)
        published = await publish_new(log, [each for each in parsed if isinstance(each, Event)], principal, clock.now())
        is_batch = request.headers.get("content-type", "").partition(";")[0].strip().lower() == BATCH_MEDIA_TYPE
        parsed = refuse_erased(parsed, published, is_batch=is_batch)
        reused = await find_reused(log, parsed, published)
        count_received(log.ingest_metrics, parsed, published, len(reused), clock)
        decided = seconds is not None and await _wait_until_decided(log, published.end_positions, seconds)
        notes = note_types((event.type for event in parsed if isinstance(event, Event)), catalogue)
        # Encoded one by one: what is to be said about a thousand events may be megabytes.
        items: list[bytes] = []
        share = LoopShare()
        for place, event in enumerate(parsed):
            if items:
                await share.give_turn_if_due()
            item = await _item_document(log, event, principal, published, decided, catalogue, notes, place in reused)
            items.append(msgspec.json.encode(item))
        return Response(b'{"items":[%b]}' % b",".join(items), 202, media_type="application/json")

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
        principal: Principal = requires("events:read", shows_more="decisions:read"),
    ) -> dict[str, Any]:
        found = await _find_event(log, source, id, customer, principal, _parse_wait(wait))
        if found is None:
            raise NotFound(
                "no event of this source and id has been accepted in the last 7 days, or has triggered or changed "
                "anything before"
            )
        note_customer(found.customer)
        return await _answer(log, found, principal)

    return routes


async def _answer(log: EventLog, found: Event | AcceptedEvent, principal: Principal) -> dict[str, Any]:
    """What is known of an event: its decisions, if this role may see them, and whether there will be more."""
    if isinstance(found, Event):
        may_see = is_allowed(principal.role, "decisions:read")
        return {
            **_event_document(found),
            "decided": True,
            "notes": [] if may_see else [_hidden_decisions(principal)],
            "decisions": await _decision_documents(log.database, found) if may_see else [],
        }
    async with log.database.read() as tx:
        decided = is_applied(found, await read_applied_offsets(tx))
    return {
        **_accepted_document(found),
        "decided": decided,
        "notes": note_types([found.type], await log.catalogue())[found.type],
        "decisions": [],
    }


def _hidden_decisions(principal: Principal) -> dict[str, Any]:
    """Says to a role that sends events, and might guess the ids of others' events, that there may be decisions."""
    detail = f"the role {principal.role} may not see decisions; the answer to its own request with `wait` has them"
    return {"pointer": "", "code": "decisions_hidden", "detail": detail}


async def _wait_until_decided(log: EventLog, after: Mapping[Partition, int], seconds: float) -> bool:
    try:
        await wait_until_applied(log.database, after, seconds, log.wake_signal)
    except FenceTimeout:
        return False
    return True


async def _note_own(log: EventLog, event: Event, catalogue: Catalogue) -> list[Note]:
    """Notes about the data of an event of ours; of much data in a thread, as in `read_events`."""

    def note() -> list[Note]:
        return note_data(check_event(event), catalogue, log.region)

    return note() if memoryview(event.data).nbytes <= SMALL_DATA else await asyncio.to_thread(note)


async def _item_document(
    log: EventLog,
    event: Event | InvalidEvent,
    sender: Principal,
    published: PublishResult,
    decided: bool,
    catalogue: Catalogue,
    type_notes: Mapping[str, list[Note]],
    is_reused: bool,
) -> dict[str, Any]:
    if isinstance(event, InvalidEvent):
        errors = [each.as_document() for each in to_problems(event)]
        return {"event_id": None, "status": "invalid", "errors": errors, "status_url": None}
    is_known = event_key(event) in published.known_keys
    item: dict[str, Any] = {
        "event_id": event.id,
        "source": event.source,
        "status": "duplicate" if is_known else "accepted",
        "status_url": f"/v1/events?{urlencode({'source': event.source, 'id': event.id, 'customer': event.subject})}",
        "notes": [
            *type_notes[event.type],
            *note_triggers(event, catalogue),
            *(await _note_own(log, event, catalogue) if is_own(event.type) else ()),
            *((_REUSED_ID,) if is_reused else ()),
        ],
    }
    # Of an event that was taken before, the decisions are perhaps those of another sender's event.
    may_see = not is_known or await _find_seen(log, event.source, event.id, event.subject, sender) is not None
    if decided and not is_reused and may_see:
        item["decisions"] = await _decision_documents(log.database, event)
    return item


async def _find_event(
    log: EventLog, source: str, id: str, customer: str | None, reader: Principal, seconds: float | None
) -> Event | AcceptedEvent | None:
    """The event, if it is one that the reader may see. Of others nothing is told, not even by the time it takes."""
    found = await _find_seen(log, source, id, customer, reader)
    if seconds is not None and not isinstance(found, Event):
        await _wait_until_decided(log, await log.bus.end_offsets(log.topic), seconds)
        found = await _find_seen(log, source, id, customer, reader)
    return found


async def _find_seen(
    log: EventLog, source: str, id: str, customer: str | None, reader: Principal
) -> Event | AcceptedEvent | None:
    """A key sees the events of the sources that it is bound to. One that is bound to none sees all if its role may see
    their decisions, and else those that its person or program has sent over HTTP, for as long as that is known.
    """
    if reader.sources and not covers(reader.sources, source):
        return None
    async with log.database.read() as tx:
        if not reader.sources and not is_allowed(reader.role, "decisions:read"):
            own = await find_accepted(tx, source, id, customer, sent_by=reader.name)
            if own is None:
                return None
            customer = own.customer
        raw = await read_store.get_event(tx, source, id, customer)
        return await find_accepted(tx, source, id, customer) if raw is None else decode_event(raw)


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
