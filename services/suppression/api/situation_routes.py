"""HTTP API of a customer's situations, their history, and opening and closing by hand: `/v1/situations/{customer}`.

A change by hand is published as an event: so it has a place in the customer's order of events, and the orchestrator
re-evaluates the messages that waited for it.
"""

import secrets
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import msgspec
from fastapi import APIRouter
from starlette.responses import JSONResponse
from typing_extensions import TypedDict

from schemas.documents import did_you_mean, validate_document
from schemas.event import Event, encode_event
from schemas.facts import Quarantine, Situation
from schemas.fields import CustomerId
from schemas.own_events import SITUATION_CLOSED, SITUATION_OPENED
from schemas.times import Instant
from services.erasure.erased_customers import CustomerErased, ErasedCustomers
from services.kit.bus.fence import WakeSignal, wait_until_applied
from services.kit.bus.protocol import Bus, Outgoing, Partition
from services.kit.bus.sender_signature import SenderSignature
from services.kit.db.database import Database, Tx
from services.kit.errors import BusGone, FenceTimeout, Invalid, Problem
from services.kit.http.answer_types import AnyValue, Page, TimeText
from services.kit.http.auth import Principal, requires
from services.kit.http.openapi import answers
from services.kit.http.paging import DEFAULT_LIMIT, PageCursor, PageLimit, decode_cursor, encode_cursor
from services.kit.http.request_body import plain_body
from services.kit.runtime.clock import Clock
from services.suppression.api.forms import (
    ManualSituation,
    format_optional_instant,
    parse_ref,
)
from services.suppression.situation_intervals import SituationKinds
from services.suppression.situation_kinds_cache import SituationKindsCache
from services.suppression.store import situation_store as history
from services.suppression.store import state_store

_MAX_SEQ = 2**62
APPLY_WAIT = 2.0
"""Seconds that a response waits until our own consumer has applied the event."""


class SituationFields(TypedDict):
    """A situation of a customer, and whether it is open now."""

    kind: str
    ref: AnyValue
    opened: TimeText | None
    closed: TimeText | None
    lapses: TimeText | None
    open: bool


_From = TypedDict("_From", {"from": TimeText | None})


class RecordPlace(TypedDict):
    """Where a record lies in the log."""

    topic: str
    partition: int
    offset: int


class QuarantineFields(_From):
    """The time without messages after a record about this customer that could not be read.

    `record` is null where an earlier version did not keep it: then the quarantine ends by itself.
    """

    until: TimeText | None
    record: RecordPlace | None


class ChangeEvent(TypedDict):
    """The event of a change: its source and id."""

    source: str
    id: str


class SituationChangeFields(TypedDict):
    """One change that led to the situations."""

    action: str
    kind: str
    ref: AnyValue
    at: TimeText | None
    event: ChangeEvent
    recorded: TimeText | None


class Situations(Page[SituationChangeFields]):
    """A customer's situations, and a page of the changes that led to them."""

    customer: str
    version: int
    situations: list[SituationFields]
    quarantine: list[QuarantineFields]


class ChangedSituation(TypedDict):
    """A change by hand: it is an event, which was applied before the answer, or will be."""

    customer: str
    event_id: str
    source: str
    applied: bool


class SituationService:
    """Reads the situations of a customer and publishes changes by hand."""

    def __init__(
        self,
        database: Database,
        bus: Bus,
        topic: str,
        kinds: SituationKindsCache,
        clock: Clock,
        wake_signal: WakeSignal,
        erased: ErasedCustomers,
        signature: SenderSignature,
    ) -> None:
        self._erased = erased
        self._database = database
        self._bus = bus
        self._topic = topic
        self._kinds = kinds
        self._clock = clock
        self._wake_signal = wake_signal
        self._signature = signature

    async def read_situations(self, customer: str, before: int, limit: int) -> dict[str, Any]:
        """The current situations and quarantine, and a page of their history, newest first."""
        async with self._database.read() as tx:
            kinds = await self._kinds.current(tx)
            state = (await state_store.get_states(tx, [customer]))[customer]
            rows = await history.list_history(tx, customer, before, limit + 1)
        now = self._clock.now()
        return {
            "customer": customer,
            "version": state.version,
            "situations": [_situation_document(item, kinds, now) for item in reversed(state.situations)],
            "quarantine": [_quarantine_document(each) for each in state.quarantines if now < each.until],
            "items": [_history_document(row) for row in rows[:limit]],
            "next": encode_cursor(rows[limit - 1].seq) if len(rows) > limit else None,
        }

    async def publish_change(self, customer: str, requested: ManualSituation, actor: str) -> dict[str, Any]:
        """Publish the change as an event, and wait until it is applied. Raises Invalid, CustomerErased, and BusGone:
        the change may then still be applied, and the same one again is another change.
        """
        async with self._database.read() as tx:
            await self._erased.refuse(tx, customer)
            await self._check_kind(tx, requested.kind)
        now = self._clock.now()
        at = now if requested.at is None else requested.at
        if at > now:
            raise Invalid("`at` lies ahead", errors=[Problem("/at", "future", "a situation begins or ends at once")])
        event = Event(
            id=f"hand-{secrets.token_hex(16)}",
            source=f"/tactful/situations/{quote(actor, safe='')[:200]}",
            type=SITUATION_OPENED if requested.action == "open" else SITUATION_CLOSED,
            subject=customer,
            time=at,
            data=msgspec.Raw(msgspec.json.encode({"kind": requested.kind, "ref": requested.ref})),
        )
        key, value = customer.encode(), encode_event(event)
        headers = (("content-type", b"application/cloudevents+json"), *self._signature.headers(actor, key, value))
        ((partition, offset),) = await self._bus.publish([Outgoing(self._topic, key, value, headers)])
        return {
            "customer": customer,
            "event_id": event.id,
            "source": event.source,
            "applied": await self._wait_until_applied({partition: offset + 1}),
        }

    async def _check_kind(self, tx: Tx, kind: str) -> None:
        known = (await self._kinds.current(tx)).lapses
        if kind not in known:
            detail = f"the active policy has no situation `{kind}`{did_you_mean(kind, known)}"
            raise Invalid(detail, errors=[Problem("/kind", "unknown_kind", detail)])

    async def _wait_until_applied(self, positions: Mapping[Partition, int]) -> bool:
        try:
            await wait_until_applied(self._database, positions, APPLY_WAIT, self._wake_signal)
        except FenceTimeout:
            return False
        return True


def situation_routes(service: SituationService) -> APIRouter:
    """/v1/situations/{customer}."""
    routes = APIRouter(prefix="/v1/situations", tags=["situations"])

    @routes.get(
        "/{customer}", summary="A customer's situations, and the changes that led to them", **answers({200: Situations})
    )
    async def get_situations(
        customer: CustomerId,
        _: Principal = requires("situations:read"),
        limit: PageLimit = DEFAULT_LIMIT,
        after: PageCursor = None,
    ) -> dict[str, Any]:
        return await service.read_situations(customer, decode_cursor(after, int) if after else _MAX_SEQ, limit)

    @routes.post(
        "/{customer}",
        summary="Open or close a situation by hand",
        **answers({200: ChangedSituation, 202: ChangedSituation}, BusGone, CustomerErased),
    )
    async def change_situation(
        customer: CustomerId,
        principal: Principal = requires("situations:write"),
        body: object = plain_body(
            ManualSituation,
            examples={"a complaint by phone": {"action": "open", "kind": "complaint", "ref": "case-12"}},
        ),
    ) -> JSONResponse:
        result = await service.publish_change(customer, validate_document(ManualSituation, body), principal.name)
        return JSONResponse(result, 200 if result["applied"] else 202)

    return routes


def _situation_document(item: Situation, kinds: SituationKinds, now: Instant) -> dict[str, Any]:
    lapse = kinds.lapses.get(item.kind)
    return {
        "kind": item.kind,
        "ref": parse_ref(item.ref),
        "opened": format_optional_instant(item.opened),
        "closed": format_optional_instant(item.closed),
        "lapses": None if lapse is None else format_optional_instant(item.opened + lapse),
        "open": kinds.is_open(item, now),
    }


def _quarantine_document(quarantine: Quarantine) -> QuarantineFields:
    record: RecordPlace = {
        "topic": quarantine.topic,
        "partition": quarantine.partition,
        "offset": quarantine.offset,
    }
    return {
        "from": format_optional_instant(quarantine.start),
        "until": format_optional_instant(quarantine.until),
        "record": None if quarantine.ends_by_itself else record,
    }


def _history_document(row: Any) -> dict[str, Any]:
    return {
        "action": row.action,
        "kind": row.kind,
        "ref": parse_ref(row.ref),
        "at": format_optional_instant(row.at),
        "event": {"source": row.source, "id": row.event_id},
        "recorded": format_optional_instant(row.recorded),
    }
