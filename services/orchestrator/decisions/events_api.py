"""Events over HTTP: the same validator as the log's, durable in the log before the answer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request
from starlette.responses import JSONResponse, Response

from schemas.decision import to_document
from schemas.event import BadEvent, Event, decode_structured, encode, parse_http
from schemas.times import SECOND, format_instant, parse_duration
from services.kit.bus.fence import Nudge, wait_applied
from services.kit.bus.protocol import Bus, Outgoing, Partition
from services.kit.db.database import Database
from services.kit.errors import FenceTimeout, Invalid, Malformed, NotFound, Problem
from services.kit.http.auth import Principal, requires
from services.kit.http.problems import WrongMediaType
from services.kit.runtime.clock import Clock
from services.orchestrator.decisions import read_store
from services.orchestrator.decisions import store as data_plane
from services.orchestrator.decisions.store import EventKey
from services.orchestrator.metrics import Intake

SINGLE = ("application/cloudevents+json", "application/json")
BATCH = "application/cloudevents-batch+json"
LONGEST_WAIT = 30 * SECOND
Wait = Annotated[str | None, Query(description="How long to wait for the decisions, such as 5s; at most 30s")]


@dataclass(frozen=True, slots=True)
class Log:
    """Where events are published and where it is seen that they have been decided."""

    bus: Bus
    topic: str
    database: Database
    nudge: Nudge
    intake: Intake | None = None
    """Counts what comes in."""


def router(log: Log, clock: Clock) -> APIRouter:
    """The routes of `/v1/events`."""
    routes = APIRouter(prefix="/v1/events", tags=["events"])

    @routes.post("", status_code=202, summary="Send one CloudEvent, or a batch of them", openapi_extra=_BODY)
    async def send(request: Request, wait: Wait = None, _: Principal = requires("events:write")) -> Response:
        seconds = _seconds(wait)
        parsed = await _parsed(request, clock)
        positions = await _publish(log, [event for event in parsed if isinstance(event, Event)])
        _count(log.intake, parsed, positions, clock)
        decided = seconds is not None and await _decided(log, positions.after, seconds)
        items = [await _item(log, event, positions, decided) for event in parsed]
        return JSONResponse({"items": items}, 202)

    @routes.get("", summary="An event that triggered or changed something, with its decisions")
    async def one(
        source: Annotated[str, Query(min_length=1)],
        id: Annotated[str, Query(min_length=1)],
        customer: str | None = None,
        wait: Wait = None,
        _: Principal = requires("events:read"),
    ) -> dict[str, Any]:
        found = await _known(log, source, id, customer, _seconds(wait))
        if found is None:
            raise NotFound("no event of this source and id has triggered or changed anything so far")
        decisions = await _decisions(log.database, found)
        return {**_shown(found), "decisions": decisions}

    return routes


@dataclass(frozen=True, slots=True)
class _Published:
    """Events that were known before, and the log positions after the new ones."""

    known: frozenset[EventKey]
    fresh: frozenset[EventKey]
    after: Mapping[Partition, int]


def key_of(event: Event) -> EventKey:
    """How the event is known."""
    return event.subject, event.source, event.id


async def _parsed(request: Request, clock: Clock) -> list[Event | BadEvent]:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != BATCH and kind not in SINGLE:
        raise WrongMediaType(f"send one event as {' or '.join(SINGLE)}, several as {BATCH}")
    try:
        parsed = parse_http(await request.body(), kind == BATCH, clock.now())
    except BadEvent as error:
        raise Malformed(error.detail, errors=[_problem(error)]) from None
    if kind != BATCH and isinstance(parsed[0], BadEvent):
        raise Invalid("the event cannot be taken; see errors.", errors=[_problem(parsed[0])])
    return parsed


async def _publish(log: Log, events: Sequence[Event]) -> _Published:
    """Append what is new to the log, durably; of an event that the request repeats, the first one."""
    async with log.database.read() as tx:
        known = await data_plane.seen(tx, [key_of(event) for event in events])
    fresh: dict[EventKey, Event] = {}
    for event in events:
        if key_of(event) not in known:
            fresh.setdefault(key_of(event), event)
    headers = (("content-type", b"application/cloudevents+json"),)
    places = await log.bus.publish(
        [Outgoing(log.topic, event.subject.encode(), encode(event), headers) for event in fresh.values()]
    )
    after: dict[Partition, int] = {}
    for partition, offset in places:
        after[partition] = max(after.get(partition, 0), offset + 1)
    return _Published(frozenset(known), frozenset(fresh), after)


def _count(intake: Intake | None, parsed: Sequence[Event | BadEvent], published: _Published, clock: Clock) -> None:
    if intake is None:
        return
    now, taken = clock.now(), [event for event in parsed if isinstance(event, Event)]
    ages = {key_of(event): (now - event.time) / SECOND for event in taken if key_of(event) in published.fresh}
    intake.received(list(ages.values()), duplicates=len(taken) - len(ages), invalid=len(parsed) - len(taken))


async def _decided(log: Log, after: Mapping[Partition, int], seconds: float) -> bool:
    try:
        await wait_applied(log.database, after, seconds, log.nudge)
    except FenceTimeout:
        return False
    return True


async def _item(log: Log, event: Event | BadEvent, published: _Published, decided: bool) -> dict[str, Any]:
    if isinstance(event, BadEvent):
        problem = {"pointer": event.pointer, "code": "bad_event", "detail": event.detail}
        return {"event_id": None, "status": "invalid", "errors": [problem], "status_url": None}
    item: dict[str, Any] = {
        "event_id": event.id,
        "source": event.source,
        "status": "duplicate" if key_of(event) in published.known else "accepted",
        "status_url": f"/v1/events?{urlencode({'source': event.source, 'id': event.id})}",
    }
    if decided:
        item["decisions"] = await _decisions(log.database, event)
    return item


async def _known(log: Log, source: str, id: str, customer: str | None, seconds: float | None) -> Event | None:
    async with log.database.read() as tx:
        found = await read_store.known_event(tx, source, id, customer)
    if found is None and seconds is not None:
        ends = await log.bus.end_offsets(log.topic)
        await _decided(log, ends, seconds)
        async with log.database.read() as tx:
            found = await read_store.known_event(tx, source, id, customer)
    return None if found is None else decode_structured(found)


async def _decisions(database: Database, event: Event) -> list[dict[str, Any]]:
    async with database.read() as tx:
        kept = await read_store.decisions_of_event(tx, *key_of(event))
    return [{"decision_id": item.decision_id, **to_document(item.decision)} for item in kept]


def _shown(event: Event) -> dict[str, Any]:
    return {
        "event_id": event.id,
        "source": event.source,
        "type": event.type,
        "customer": event.subject,
        "time": format_instant(event.time),
        "status": "accepted",
    }


def _problem(error: BadEvent) -> Problem:
    return Problem(error.pointer, "bad_event", error.detail)


def _seconds(wait: str | None) -> float | None:
    if wait is None:
        return None
    try:
        span = parse_duration(wait)
    except ValueError as error:
        raise Invalid(
            "`wait` cannot be read; see errors.", errors=[Problem("/query/wait", "bad_duration", str(error))]
        ) from None
    if span > LONGEST_WAIT:
        problem = Problem("/query/wait", "too_long", "wait at most 30s; then ask again with GET")
        raise Invalid("`wait` is too long; see errors.", errors=[problem])
    return span / SECOND


_EVENT = {
    "type": "object",
    "required": ["specversion", "id", "source", "type", "subject", "time"],
    "properties": {
        **{name: {"type": "string", "minLength": 1, "maxLength": 256} for name in ("id", "source", "type", "subject")},
        "specversion": {"const": "1.0"},
        "time": {"type": "string", "format": "date-time"},
        "data": {"type": "object"},
        "expirytime": {"type": "string", "format": "date-time"},
    },
}
_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            **{kind: {"schema": _EVENT} for kind in SINGLE},
            BATCH: {"schema": {"type": "array", "maxItems": 1000, "items": _EVENT}},
        },
    }
}
