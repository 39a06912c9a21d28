"""HTTP API of a customer's situations, their history, and changes by hand: `/v1/situations/{customer}`."""

from typing import Any

from fastapi import APIRouter
from starlette.responses import JSONResponse
from typing_extensions import TypedDict

from schemas.documents import validate_document
from schemas.facts import Quarantine, Situation
from schemas.fields import CustomerId
from schemas.times import Instant
from services.erasure.erased_customers import CustomerErased
from services.kit.errors import BusGone, NotFound
from services.kit.http.answer_types import AnyValue, Page, TimeText
from services.kit.http.auth import Principal, requires
from services.kit.http.openapi import answers
from services.kit.http.paging import DEFAULT_LIMIT, PageCursor, PageLimit, decode_cursor, encode_cursor
from services.kit.http.request_body import plain_body
from services.suppression.api.forms import (
    ManualSituation,
    format_optional_instant,
    parse_ref,
)
from services.suppression.api.situation_changes import SituationService, find_person
from services.suppression.situation_intervals import SituationKinds

_MAX_SEQ = 2**62


class SituationFields(TypedDict):
    """A situation of a customer, and whether it is open now. `lapsed`: it is over because nobody closed it in time."""

    kind: str
    ref: AnyValue
    opened: TimeText | None
    closed: TimeText | None
    lapses: TimeText | None
    open: bool
    lapsed: bool


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
    """One change that led to the situations. `by`, `reason`: who made it by hand, and why. `opened`, `closed`: what a
    correction made of it.
    """

    action: str
    kind: str
    ref: AnyValue
    at: TimeText | None
    event: ChangeEvent
    recorded: TimeText | None
    by: str | None
    reason: str | None
    opened: TimeText | None
    closed: TimeText | None


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
        found = await service.read_situations(customer, decode_cursor(after, int) if after else _MAX_SEQ, limit + 1)
        rows, now = found.history, found.at
        return {
            "customer": customer,
            "version": found.state.version,
            "situations": [_situation_document(item, found.kinds, now) for item in reversed(found.state.situations)],
            "quarantine": [_quarantine_document(each) for each in found.state.quarantines if now < each.until],
            "items": [_history_document(row) for row in rows[:limit]],
            "next": encode_cursor(rows[limit - 1].seq) if len(rows) > limit else None,
        }

    @routes.post(
        "/{customer}",
        summary="Open, close or correct a situation by hand",
        **answers({200: ChangedSituation, 202: ChangedSituation}, BusGone, CustomerErased, NotFound),
    )
    async def change_situation(
        customer: CustomerId,
        principal: Principal = requires("situations:write"),
        body: object = plain_body(
            ManualSituation,
            examples={
                "a complaint by phone": {"action": "open", "kind": "complaint", "ref": "case-12"},
                "a mistake": {"action": "withdraw", "kind": "complaint", "ref": "case-12", "reason": "wrong customer"},
            },
        ),
    ) -> JSONResponse:
        made = await service.publish_change(customer, validate_document(ManualSituation, body), principal.name)
        answer: ChangedSituation = {
            "customer": customer,
            "event_id": made.event_id,
            "source": made.source,
            "applied": made.applied,
        }
        return JSONResponse(answer, 200 if made.applied else 202)

    return routes


def _situation_document(item: Situation, kinds: SituationKinds, now: Instant) -> dict[str, Any]:
    lapse = kinds.lapses.get(item.kind)
    return {
        "kind": item.kind,
        "ref": parse_ref(item.ref),
        "opened": format_optional_instant(item.opened),
        "closed": format_optional_instant(item.closed),
        "lapses": None if lapse is None else format_optional_instant(item.opened + lapse),
        "open": (is_open := kinds.is_open(item, now)),
        "lapsed": item.closed is None and not is_open,
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
        "by": find_person(row.source),
        "reason": row.reason,
        "opened": format_optional_instant(row.opened),
        "closed": format_optional_instant(row.closed),
    }
