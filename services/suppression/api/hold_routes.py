"""Holds: operators' stops on a scope."""

from typing import Any, Literal

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse

from schemas.documents import validate
from schemas.facts import AttemptScope, HoldFact, Scope
from schemas.suppression import Hold
from schemas.times import format_instant
from schemas.vocabulary import Class
from services.kit.db.database import Database
from services.kit.errors import Conflict, Invalid, NotFound, Problem
from services.kit.http import request_parsing
from services.kit.http.auth import Principal, requires
from services.kit.http.paging import DEFAULT_LIMIT, After, Limit, decode_cursor, encode_cursor, page
from services.kit.observability.logs import log
from services.kit.runtime.clock import Clock
from services.suppression.api.forms import Lifting, check_texts, hold_document
from services.suppression.customer_state import QUARANTINE
from services.suppression.store import hold_store
from services.suppression.suppression_enforcement import Enforcer
from services.suppression.suppression_errors import HoldStands

NEWEST = 2**62
DEFAULT_CLASSES = (Class.SERVICE.value, Class.MARKETING.value)


def router(database: Database, enforcer: Enforcer, clock: Clock) -> APIRouter:
    """/v1/holds."""
    routes = APIRouter(prefix="/v1/holds", tags=["holds"])
    _reading(routes, database, clock)
    _placing(routes, database, enforcer, clock)
    _lifting(routes, database, clock)
    return routes


def _reading(routes: APIRouter, database: Database, clock: Clock) -> None:
    @routes.get("", summary="Holds, newest first; only those in force or to come unless `state=all`")
    async def listed(
        _: Principal = requires("holds:read"),
        state: Literal["standing", "all"] = "standing",
        limit: Limit = DEFAULT_LIMIT,
        after: After = None,
    ) -> dict[str, object]:
        before, now = decode_cursor(after, int) if after else NEWEST, clock.now()
        async with database.read() as tx:
            rows = await hold_store.listed(tx, before, limit + 1, standing_at=now if state == "standing" else None)
        items = [hold_document(row, now) for row in rows[:limit]]
        return page(items, encode_cursor(rows[limit - 1].seq) if len(rows) > limit else None)

    @routes.get("/{key}", summary="The hold placed last under this key, and those before it")
    async def one(key: str, _: Principal = requires("holds:read")) -> dict[str, Any]:
        async with database.read() as tx:
            rows = await hold_store.listed(tx, NEWEST, 50, key=key)
        if not rows:
            raise NotFound("no hold was ever placed under this key; GET /v1/holds lists them")
        newest, *earlier = [hold_document(row, clock.now()) for row in rows]
        return {**newest, "earlier": earlier}


def _placing(routes: APIRouter, database: Database, enforcer: Enforcer, clock: Clock) -> None:
    @routes.post("", summary="Place a hold; answered once it is enforced")
    async def place(request: Request, principal: Principal = requires("holds:write")) -> JSONResponse:
        now = clock.now()
        hold = read_hold(await request_parsing.json_body(request), principal.name, now)
        text = hold.model_dump_json(by_alias=True, exclude_none=True)
        async with database.write() as tx:
            seq = await hold_store.place(tx, fact_of(hold), text, principal.name, now)
            row = await hold_store.newest(tx, hold.key)
        if seq is None or row is None:
            raise HoldStands(f"the hold `{hold.key}` stands already: lift it first, or use another key")
        log("hold_placed", hold_key=hold.key, mode=hold.mode, via="api")
        enforcement = await enforcer.enforce([attempts_of(hold)], "hold")
        return JSONResponse({**hold_document(row, now), **enforcement.answer()}, 201 if enforcement.enforced else 202)


def _lifting(routes: APIRouter, database: Database, clock: Clock) -> None:
    @routes.post("/{key}/lift", summary="End a hold now; what it kept back is released at `rate` messages a second")
    async def lift(key: str, request: Request, principal: Principal = requires("holds:write")) -> dict[str, Any]:
        how = validate(Lifting, await request_parsing.json_body(request, empty={}))
        check_texts(how.reason, "/reason")
        now = clock.now()
        async with database.write() as tx:
            lifted = await hold_store.lift(tx, key, principal.name, how.reason, now, how.rate)
            row = await hold_store.newest(tx, key)
        if row is None:
            raise NotFound("no hold was ever placed under this key; GET /v1/holds lists them")
        if not lifted:
            raise Conflict("this hold does not stand any more, so there is nothing to lift", code="wrong_state")
        log("hold_lifted", hold_key=key, rate=how.rate, via="api")
        return hold_document(row, now)


def read_hold(data: object, placed_by: str, now: int) -> Hold:
    """A hold as sent; without `from` it starts now. Who placed it is whoever asks. Raises DocumentError, Invalid."""
    check_texts(data)
    if isinstance(data, dict):
        data = {"from": format_instant(now), **data, "placed_by": placed_by[:200]}
    hold = validate(Hold, data)
    if hold.key == QUARANTINE:
        problem = Problem("/key", "reserved", f"`{QUARANTINE}` is the hold after an unreadable event: use another key")
        raise Invalid(problem.detail, errors=[problem])
    if hold.until is not None and hold.until <= now:
        raise Invalid("the hold is over already", errors=[Problem("/until", "past", "must lie in the future")])
    return hold


def fact_of(hold: Hold) -> HoldFact:
    """The hold as rules see it."""
    scope = hold.scope
    return HoldFact(
        key=hold.key,
        mode=hold.mode,
        start=hold.start,
        until=hold.until,
        scope=Scope(
            channels=_set(scope.channels),
            topics=_set(scope.topics),
            classes=_set(scope.classes),
            intents=_set(scope.intents),
            campaigns=_set(scope.campaigns),
        ),
        region=scope.region,
        trait=scope.trait,
        reason=hold.reason,
        placed_by=hold.placed_by or "",
    )


def attempts_of(hold: Hold) -> AttemptScope:
    """The attempts that it concerns; of all regions and traits, since attempts know neither."""
    fact = fact_of(hold).scope
    return AttemptScope(
        channels=_tuple(fact.channels),
        topics=_tuple(fact.topics),
        classes=_tuple(fact.classes) or DEFAULT_CLASSES,
        intents=_tuple(fact.intents),
        campaigns=_tuple(fact.campaigns),
    )


def _set(values: tuple[str, ...] | None) -> frozenset[str] | None:
    return None if values is None else frozenset(str(value) for value in values)


def _tuple(values: frozenset[str] | None) -> tuple[str, ...] | None:
    return None if values is None else tuple(sorted(values))
