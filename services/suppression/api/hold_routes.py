"""HTTP API of holds, which stop messages in a scope: `/v1/holds`."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal, NotRequired, Protocol

from fastapi import APIRouter, Query
from pydantic import ConfigDict
from starlette.responses import JSONResponse
from typing_extensions import TypedDict

from schemas.documents import validate_document
from schemas.facts import HoldFact, MessageScope
from schemas.service_api import (
    DEFAULT_RELEASE_RATE,
    MAX_RELEASE_RATE,
    AttemptScope,
    DecisionCount,
    HoldPlan,
    HoldPlanSample,
    ScopeNames,
)
from schemas.suppression import Hold
from schemas.times import format_instant
from schemas.vocabulary import Class, Outcome
from services.kit.db.database import Database
from services.kit.errors import Invalid, NotFound, Problem, WrongState
from services.kit.http.answer_types import Page, TimeText
from services.kit.http.auth import Principal, requires
from services.kit.http.openapi import answers, with_document
from services.kit.http.paging import DEFAULT_LIMIT, PageCursor, PageLimit, decode_cursor, encode_cursor, to_page
from services.kit.http.request_body import document, document_body, plain_body
from services.kit.observability.logs import log
from services.kit.runtime.clock import Clock
from services.suppression.api.forms import LiftRequest, format_optional_instant, hold_document
from services.suppression.api.scope_notes import NamesApi, ScopeNote, note_unknown_names
from services.suppression.store import hold_store
from services.suppression.suppression_enforcement import SuppressionEnforcer
from services.suppression.suppression_errors import HoldExists

_MAX_SEQ = 2**62
_HOLD_EXAMPLES = {
    "an outage": {
        "key": "outage",
        "mode": "defer",
        "scope": {"channels": ["email"]},
        "reason": "the links in our e-mails lead nowhere",
    }
}
OUTCOMES = ("send", "defer", "suppress", "fail")
PLANNABLE_STATES = ("active", "scheduled")
DEFAULT_CLASSES = (Class.SERVICE.value, Class.MARKETING.value)


class HoldFields(TypedDict):
    """A hold and its state."""

    __pydantic_config__ = ConfigDict(json_schema_extra=with_document("hold"))  # type: ignore[misc]

    placed_at: TimeText | None
    state: Literal["scheduled", "active", "ended", "lifted"]
    lifted_at: NotRequired[TimeText | None]
    lifted_by: NotRequired[str]
    lift_reason: NotRequired[str | None]
    release_rate: NotRequired[int | None]


class HoldHistory(HoldFields):
    """The hold placed last under a key, and those before it."""

    earlier: list[HoldFields]


class PlacedHold(HoldFields):
    """A hold, and whether it holds already. `notes`: names in its scope that nothing has."""

    enforced: bool
    in_flight: NotRequired[int | None]
    notes: NotRequired[list[ScopeNote]]


class PlanCount(TypedDict):
    """Messages that would be decided alike."""

    campaign: str
    channel: str
    outcome: Outcome
    reason: str
    messages: int


class PlanCounts(TypedDict):
    """Messages by outcome, and in detail."""

    send: int
    defer: int
    suppress: int
    fail: int
    items: list[PlanCount]


class PlanSample(TypedDict):
    """One message: when its turn would come, and what would be decided."""

    message_id: str
    campaign: str
    channel: str
    outcome: Outcome
    reason: str
    turn: TimeText
    until: TimeText | None


class PlanFields(TypedDict):
    """What lifting a hold would send, now and after caps. `complete`: all that wait were judged."""

    key: str
    mode: str
    state: str
    at: TimeText
    waiting: int
    judged: int
    complete: bool
    rate: int
    release_seconds: int | float
    expired: int
    now: PlanCounts
    after_caps: PlanCounts
    sample: list[PlanSample]


def hold_routes(database: Database, enforcer: SuppressionEnforcer, orchestrator: NamesApi, clock: Clock) -> APIRouter:
    """/v1/holds."""
    routes = APIRouter(prefix="/v1/holds", tags=["holds"])
    _add_read_routes(routes, database, clock)
    _add_place_route(routes, database, enforcer, orchestrator, clock)
    _add_lift_route(routes, database, clock)
    return routes


def _add_read_routes(routes: APIRouter, database: Database, clock: Clock) -> None:
    @routes.get(
        "",
        summary="Holds, newest first; only those in force or to come unless `state=all`",
        **answers({200: Page[HoldFields]}),
    )
    async def list_holds(
        _: Principal = requires("holds:read"),
        state: Literal["standing", "all"] = "standing",
        limit: PageLimit = DEFAULT_LIMIT,
        after: PageCursor = None,
    ) -> dict[str, object]:
        before, now = decode_cursor(after, int) if after else _MAX_SEQ, clock.now()
        async with database.read() as tx:
            rows = await hold_store.list_holds(tx, before, limit + 1, standing_at=now if state == "standing" else None)
        items = [hold_document(row, now) for row in rows[:limit]]
        return to_page(items, encode_cursor(rows[limit - 1].seq) if len(rows) > limit else None)

    @routes.get(
        "/{key}",
        summary="The hold placed last under this key, and those before it",
        **answers({200: HoldHistory}, NotFound),
    )
    async def get_hold(key: str, _: Principal = requires("holds:read")) -> dict[str, Any]:
        async with database.read() as tx:
            rows = await hold_store.list_holds(tx, _MAX_SEQ, 50, key=key)
        if not rows:
            raise NotFound("no hold was ever placed under this key; GET /v1/holds lists them")
        newest, *earlier = [hold_document(row, clock.now()) for row in rows]
        return {**newest, "earlier": earlier}


def _add_place_route(
    routes: APIRouter, database: Database, enforcer: SuppressionEnforcer, orchestrator: NamesApi, clock: Clock
) -> None:
    @routes.post(
        "",
        summary="Place a hold; answered once it is enforced",
        **answers({201: PlacedHold, 202: PlacedHold}, HoldExists),
    )
    async def place_hold(
        principal: Principal = requires("holds:write"),
        data: object = plain_body(document("hold", optional=["from"]), examples=_HOLD_EXAMPLES),
    ) -> JSONResponse:
        now = clock.now()
        hold = parse_hold(data, principal.name, now)
        text = hold.model_dump_json(by_alias=True, exclude_none=True)
        async with database.write() as tx:
            seq = await hold_store.place_hold(tx, to_hold_fact(hold), text, principal.name, now)
            row = await hold_store.get_newest_hold(tx, hold.key)
        if seq is None or row is None:
            raise HoldExists(f"the hold `{hold.key}` is in force or to come already: lift it first, or use another key")
        log("hold_placed", hold_key=hold.key, mode=hold.mode, via="api")
        enforcement = await enforcer.enforce([attempt_scope(hold)], "hold")
        notes = await note_unknown_names(orchestrator, hold_names(hold))
        answer = {**hold_document(row, now), **enforcement.to_response(), **({"notes": notes} if notes else {})}
        return JSONResponse(answer, 201 if enforcement.enforced else 202)


def _add_lift_route(routes: APIRouter, database: Database, clock: Clock) -> None:
    @routes.post(
        "/{key}/lift",
        summary="End a hold now; what it kept back is released at `rate` messages a second",
        **answers({200: HoldFields}, NotFound, WrongState),
    )
    async def lift_hold(
        key: str,
        principal: Principal = requires("holds:write"),
        body: LiftRequest | None = document_body(
            LiftRequest, required=False, examples={"slowly": {"reason": "repaired", "rate": 5}}
        ),
    ) -> dict[str, Any]:
        lift_request = body or LiftRequest()
        now = clock.now()
        async with database.write() as tx:
            lifted = await hold_store.lift_hold(tx, key, principal.name, lift_request.reason, now, lift_request.rate)
            row = await hold_store.get_newest_hold(tx, key)
        if row is None:
            raise NotFound("no hold was ever placed under this key; GET /v1/holds lists them")
        if not lifted:
            raise WrongState("this hold has ended, so there is nothing to lift")
        log("hold_lifted", hold_key=key, rate=lift_request.rate, via="api")
        return hold_document(row, now)


def parse_hold(data: object, placed_by: str, now: int) -> Hold:
    """A hold from a request; without `from` it starts now. `placed_by` is the caller. Raises DocumentError, Invalid."""
    if isinstance(data, dict):
        data = {"from": format_instant(now), **data, "placed_by": placed_by[:200]}
    hold = validate_document(Hold, data)
    if hold.until is not None and hold.until <= now:
        raise Invalid("the hold is over already", errors=[Problem("/until", "past", "must lie in the future")])
    return hold


def to_hold_fact(hold: Hold) -> HoldFact:
    """The hold as a fact for the rules."""
    scope = hold.scope
    return HoldFact(
        key=hold.key,
        mode=hold.mode,
        start=hold.start,
        until=hold.until,
        scope=MessageScope(
            channels=_to_frozenset(scope.channels),
            topics=_to_frozenset(scope.topics),
            classes=_to_frozenset(scope.classes),
            intents=_to_frozenset(scope.intents),
            campaigns=_to_frozenset(scope.campaigns),
        ),
        region=scope.region,
        trait=scope.trait,
        reason=hold.reason,
        placed_by=hold.placed_by or "",
    )


def hold_names(hold: Hold) -> ScopeNames:
    """The names in a hold's scope that something else must have."""
    return ScopeNames(hold.scope.topics or (), hold.scope.campaigns or ())


def attempt_scope(hold: Hold) -> AttemptScope:
    """The attempts that a hold concerns. Attempts know neither region nor traits, so those are ignored: too wide."""
    fact = to_hold_fact(hold).scope
    return AttemptScope(
        channels=_to_sorted_tuple(fact.channels),
        topics=_to_sorted_tuple(fact.topics),
        classes=_to_sorted_tuple(fact.classes) or DEFAULT_CLASSES,
        intents=_to_sorted_tuple(fact.intents),
        campaigns=_to_sorted_tuple(fact.campaigns),
    )


def _to_frozenset(values: tuple[str, ...] | None) -> frozenset[str] | None:
    return None if values is None else frozenset(str(value) for value in values)


def _to_sorted_tuple(values: frozenset[str] | None) -> tuple[str, ...] | None:
    return None if values is None else tuple(sorted(values))


class HoldPlanApi(Protocol):
    """What hold plans ask of the orchestrator, which has the messages: see `OrchestratorClient`."""

    async def hold_plan(self, key: str, rate: int) -> HoldPlan:
        """What lifting this hold would do. Raises Transient."""


def hold_plan_routes(database: Database, planner: HoldPlanApi, clock: Clock) -> APIRouter:
    """GET /v1/holds/{key}/plan."""
    routes = APIRouter(prefix="/v1/holds", tags=["holds"])

    @routes.get(
        "/{key}/plan",
        summary="What lifting a hold would send, now and after caps; nothing is changed",
        **answers({200: PlanFields}, NotFound, WrongState),
    )
    async def plan(
        key: str,
        rate: Annotated[int, Query(ge=1, le=MAX_RELEASE_RATE)] = DEFAULT_RELEASE_RATE,
        _: Principal = requires("holds:read"),
    ) -> dict[str, Any]:
        async with database.read() as tx:
            row = await hold_store.get_newest_hold(tx, key)
        if row is None:
            raise NotFound("no hold was ever placed under this key; GET /v1/holds lists them")
        hold = hold_document(row, clock.now())
        if hold["state"] not in PLANNABLE_STATES:
            raise WrongState("this hold has ended, so lifting it would do nothing")
        return _plan_document(hold, rate, await planner.hold_plan(key, rate))

    return routes


def _plan_document(hold: dict[str, Any], rate: int, plan: HoldPlan) -> dict[str, Any]:
    return {
        "key": hold["key"],
        "mode": hold["mode"],
        "state": hold["state"],
        "at": format_instant(plan.at),
        "waiting": plan.waiting,
        "judged": plan.judged,
        "complete": plan.judged == plan.waiting,
        "rate": rate,
        "release_seconds": plan.seconds,
        "expired": plan.expired,
        "now": _outcome_counts(plan.now),
        "after_caps": _outcome_counts(plan.after_caps),
        "sample": [_sample_document(item) for item in plan.sample],
    }


def _outcome_counts(counts: Sequence[DecisionCount]) -> dict[str, Any]:
    """Messages by outcome, and in detail by campaign, channel, outcome and reason."""
    totals = {name: sum(count.messages for count in counts if count.outcome == name) for name in OUTCOMES}
    names = ("campaign", "channel", "outcome", "reason", "messages")
    return {**totals, "items": [{name: getattr(count, name) for name in names} for count in counts]}


def _sample_document(item: HoldPlanSample) -> dict[str, Any]:
    return {
        **{name: getattr(item, name) for name in ("message_id", "campaign", "channel", "outcome", "reason")},
        "turn": format_instant(item.turn),
        "until": format_optional_instant(item.until),
    }
