"""Events that arrive over HTTP: validated as those from Kafka are, and durable in the log before the answer."""

import asyncio
from codecs import BOM_UTF8
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import msgspec
from fastapi import Request

from schemas.addresses import find_unusable
from schemas.event import Event, InvalidEvent, decode_event, encode_event, parse_request
from schemas.event_sources import covers
from schemas.own_event_actions import needed_action
from schemas.own_events import (
    CUSTOMER_ERASED,
    CUSTOMER_IDENTIFIED,
    CheckedData,
    EventProblem,
    check_event,
    is_own,
    is_unknown_own,
)
from schemas.roles import ALLOWED_ACTIONS, is_allowed
from schemas.times import SECOND, Instant
from services.erasure.erased_customers import ERASED_DETAIL, CustomerErased, ErasedCustomers
from services.kit.bus.fence import WakeSignal
from services.kit.bus.protocol import Bus, Outgoing, Partition
from services.kit.bus.sender_signature import SenderSignature
from services.kit.db.database import Database
from services.kit.errors import Forbidden, Invalid, Malformed, Problem, Transient
from services.kit.http.auth import Principal
from services.kit.http.problems import WrongMediaType
from services.kit.observability.trace import current_span
from services.kit.runtime.clock import Clock
from services.kit.runtime.loop_share import LoopShare
from services.orchestrator.campaigns.snapshot import CatalogueSnapshot
from services.orchestrator.decisions import read_store
from services.orchestrator.decisions import store as data_plane
from services.orchestrator.decisions.accepted_events import record_accepted
from services.orchestrator.decisions.event_notes import situation_kinds
from services.orchestrator.decisions.metrics import IngestMetrics
from services.orchestrator.decisions.reused_ids import has_same_content
from services.orchestrator.decisions.store import EventKey, event_key
from services.orchestrator.policy.match import Catalogue

EVENT_MEDIA_TYPES = ("application/cloudevents+json", "application/json")
BATCH_MEDIA_TYPE = "application/cloudevents-batch+json"
_FORBIDDEN = "forbidden"
DATABASE_SECONDS = 3.0
"""Seconds that the database may take for one step of a request: who sends events is answered within 5 s."""
PUBLISH_RETRY_AFTER = 5.0
"""Seconds after which a caller may send events again that could not be published."""


@dataclass(frozen=True, slots=True)
class EventLog:
    """Where events are published, and how a request learns that they have been decided."""

    bus: Bus
    topic: str
    database: Database
    wake_signal: WakeSignal
    snapshot: CatalogueSnapshot
    erased: ErasedCustomers
    signature: SenderSignature
    region: str | None = None
    """The organisation's country, in which telephone numbers in national form are read."""
    ingest_metrics: IngestMetrics | None = None
    """Counts received events; None in tests."""

    async def catalogue(self) -> Catalogue:
        """The campaigns and the policy of now."""
        async with self.database.answering_within(DATABASE_SECONDS), self.database.read() as tx:
            return await self.snapshot.get_catalogue(tx)


@dataclass(frozen=True, slots=True)
class PublishResult:
    """Which events had been decided before, which are new, and the log positions after the new ones."""

    known_keys: frozenset[EventKey]
    erased: frozenset[str]
    """Customers of the request who were erased: nothing of their events is taken."""
    new_keys: frozenset[EventKey]
    end_positions: Mapping[Partition, int]


SMALL_BODY = 64 * 1024
"""Bytes of a request that are parsed on the event loop; a megabyte takes 60 ms."""
SMALL_DATA = 1024
"""Bytes of an event's data that are checked on the event loop; in so few there are not many addresses."""


async def read_events(
    request: Request, sender: Principal, clock: Clock, log: EventLog, catalogue: Catalogue
) -> list[Event | InvalidEvent]:
    """The events of a request in order, or what is wrong with each. Raises for what is wrong with the whole request,
    or with its only event: WrongMediaType, Malformed, Invalid, Forbidden.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != BATCH_MEDIA_TYPE and media_type not in EVENT_MEDIA_TYPES:
        raise WrongMediaType(f"send one event as {' or '.join(EVENT_MEDIA_TYPES)}, several as {BATCH_MEDIA_TYPE}")
    body = await request.body()
    if media_type != BATCH_MEDIA_TYPE and body.removeprefix(BOM_UTF8).lstrip().startswith(b"["):
        raise Malformed(f"the body is a list of events: send it as {BATCH_MEDIA_TYPE}")
    try:
        parse = partial(parse_request, any_data=(CUSTOMER_ERASED,))
        arguments = body, media_type == BATCH_MEDIA_TYPE, clock.now()
        parsed = parse(*arguments) if len(body) <= SMALL_BODY else await asyncio.to_thread(parse, *arguments)
    except InvalidEvent as error:
        raise Malformed(error.detail, errors=to_problems(error)) from None
    checked: list[Event | InvalidEvent] = []
    share = LoopShare()
    for event in parsed:
        if checked:  # an event with bad names, places and addresses takes some milliseconds, and a batch has a thousand
            await share.give_turn_if_due()
        checked.append(await _check_parts_apart(_check_sender(event, sender), catalogue))
    if media_type != BATCH_MEDIA_TYPE and isinstance(checked[0], InvalidEvent):
        if checked[0].problems[0][1] == _FORBIDDEN:
            raise Forbidden(checked[0].problems[0][2])
        raise Invalid("the event cannot be taken; see errors.", errors=to_problems(checked[0]))
    return checked


def _check_sender(event: Event | InvalidEvent, sender: Principal) -> Event | InvalidEvent:
    """The event, or that its source is not one of the key's, or its type not for the key's role."""
    if isinstance(event, InvalidEvent):
        return event
    if sender.sources and not covers(sender.sources, event.source):
        detail = f"this key sends events of {', '.join(f'`{each}`' for each in sender.sources)} and of what is below"
        return InvalidEvent.of_problems([("/source", _FORBIDDEN, detail)])
    role, action = sender.role, needed_action(event)
    if action is None or is_allowed(role, action):
        return event
    roles = ", ".join(each for each in ALLOWED_ACTIONS if is_allowed(each, action) and is_allowed(each, "events:write"))
    what = "addresses in `tactful.customer.identified`" if event.type == CUSTOMER_IDENTIFIED else f"`{event.type}`"
    detail = f"{what}: `{action}` needs one of the roles {roles}; this key has the role {role}"
    return InvalidEvent.of_problems([("/type", _FORBIDDEN, detail)])


async def _check_parts_apart(event: Event | InvalidEvent, catalogue: Catalogue) -> Event | InvalidEvent:
    """As `_check_parts`, in a thread where it may take long: a hundred telephone numbers take 70 ms."""
    if isinstance(event, InvalidEvent) or memoryview(event.data).nbytes <= SMALL_DATA:
        return _check_parts(event, catalogue)
    return await asyncio.to_thread(_check_parts, event, catalogue)


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


async def publish_new(log: EventLog, events: Sequence[Event], sender: Principal, now: Instant) -> PublishResult:
    """Append new events to the log, durably. An event that the request repeats is appended once, as it came first.

    Events of erased customers are not appended.
    """
    async with log.database.answering_within(DATABASE_SECONDS), log.database.read() as tx:
        pseudonyms = {log.erased.pseudonyms.of_customer(event.subject): event.subject for event in events}
        keys = [event_key(event) for event in events]
        known, erased_pseudonyms = await data_plane.known_and_erased(tx, keys, list(pseudonyms))
    erased = frozenset(pseudonyms[each] for each in erased_pseudonyms)
    # Who asks once more to erase a customer is told that it is done already.
    known |= {event_key(each) for each in events if each.type == CUSTOMER_ERASED and each.subject in erased}
    new_events: dict[EventKey, Event] = {}
    for event in events:
        if event_key(event) not in known and event.subject not in erased:
            new_events.setdefault(event_key(event), event)
    with _telling_to_send_again():
        log_positions = await log.bus.publish([_to_record(log, event, sender) for event in new_events.values()])
        if new_events:
            async with log.database.answering_within(DATABASE_SECONDS), log.database.write() as tx:
                await record_accepted(
                    tx, list(new_events.values()), log_positions, sender.name, now, log.erased.pseudonyms
                )
    after: dict[Partition, int] = {}
    for partition, offset in log_positions:
        after[partition] = max(after.get(partition, 0), offset + 1)
    return PublishResult(frozenset(known), erased, frozenset(new_events), after)


def _to_record(log: EventLog, event: Event, sender: Principal) -> Outgoing:
    if event.traceparent is None and (span := current_span.get()) is not None:
        event = msgspec.structs.replace(event, traceparent=span.to_traceparent())
    key, value = event.subject.encode(), encode_event(event)
    headers = (("content-type", b"application/cloudevents+json"), *log.signature.headers(sender.name, key, value))
    return Outgoing(log.topic, key, value, headers)


async def find_reused(
    log: EventLog, parsed: Sequence[Event | InvalidEvent], published: PublishResult
) -> frozenset[int]:
    """The places of events whose source and id have been taken before with another content; the first one counts.

    Of what triggered and changed nothing when it came, the content is not kept, and so not compared.
    """
    reused: set[int] = set()
    first: dict[EventKey, Event] = {}
    async with log.database.answering_within(DATABASE_SECONDS), log.database.read() as tx:
        for place, event in enumerate(parsed):
            if isinstance(event, InvalidEvent):
                continue
            key = event_key(event)
            if key in published.known_keys and key not in first:
                raw = await read_store.get_event(tx, event.source, event.id, event.subject)
                if raw:
                    first[key] = decode_event(raw)
            if not has_same_content(event, first.setdefault(key, event)):
                reused.add(place)
    return frozenset(reused)


def refuse_erased(
    parsed: Sequence[Event | InvalidEvent], published: PublishResult, *, is_batch: bool
) -> list[Event | InvalidEvent]:
    """The events, with what is wrong with those of erased customers. Raises CustomerErased for the only event."""
    if not published.erased:
        return list(parsed)
    refused = InvalidEvent.of_problems([("/subject", CustomerErased.default_code, ERASED_DETAIL)])
    result = [
        refused
        if isinstance(event, Event) and event.subject in published.erased and event.type != CUSTOMER_ERASED
        else event
        for event in parsed
    ]
    if not is_batch and result[0] is refused:
        raise CustomerErased
    return result


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


def count_received(
    ingest_metrics: IngestMetrics | None,
    parsed: Sequence[Event | InvalidEvent],
    published: PublishResult,
    reused: int,
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
        list(ages.values()),
        duplicates=len(valid_events) - len(ages) - reused,
        reused=reused,
        invalid=len(parsed) - len(valid_events),
    )


def to_problems(error: InvalidEvent) -> list[Problem]:
    return [Problem(*each) for each in error.problems]
