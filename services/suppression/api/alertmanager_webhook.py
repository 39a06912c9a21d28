"""Alertmanager's webhook: an alert that fires places a hold, one that is resolved lifts it."""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse

from schemas.alertmanager import Alert, Notification
from schemas.documents import validate
from schemas.facts import AttemptScope
from schemas.times import Instant
from services.kit.db.database import Database, Tx
from services.kit.errors import Problem
from services.kit.http import request_parsing
from services.kit.http.auth import Principal, requires
from services.kit.observability.logs import log
from services.kit.runtime.clock import Clock
from services.suppression import alert_holds
from services.suppression.api.forms import check_texts
from services.suppression.api.hold_routes import attempts_of, fact_of
from services.suppression.metrics import Metrics
from services.suppression.store import alert_store as store
from services.suppression.store import hold_store
from services.suppression.suppression_enforcement import Enforcer

Result = Literal["placed", "stands", "lapsed", "lifted", "ignored"]


class Outcome(NamedTuple):
    """What came of one alert; `scope`: the attempts that a hold placed for it concerns."""

    alert: Alert
    result: Result
    problems: tuple[Problem, ...] = ()
    scope: AttemptScope | None = None


def router(database: Database, enforcer: Enforcer, clock: Clock, metrics: Metrics) -> APIRouter:
    """POST /v1/holds/alertmanager."""
    routes = APIRouter(prefix="/v1/holds", tags=["holds"])

    @routes.post("/alertmanager", summary="Alertmanager's webhook, version 4; answered once holds are enforced")
    async def told(request: Request, principal: Principal = requires("holds:write")) -> JSONResponse:
        body = await request_parsing.json_body(request)
        check_texts(body)
        notification = validate(Notification, body)
        now = clock.now()
        async with database.write() as tx:
            await store.forget(tx, now)
            outcomes = [await _hear(tx, alert, principal.name, now) for alert in _in_order(notification.alerts)]
        _tell(outcomes, notification.truncated, metrics)
        scopes = [outcome.scope for outcome in outcomes if outcome.scope is not None]
        enforcement = await enforcer.enforce(scopes, "hold")
        answer = {"items": [_shown(outcome) for outcome in outcomes], "truncated": notification.truncated}
        return JSONResponse({**answer, **enforcement.answer()}, 200 if enforcement.enforced else 202)

    return routes


def _in_order(told: Sequence[Alert]) -> list[Alert]:
    """Each alert's older firings first; in order of fingerprint, so that two requests never wait for each other."""
    return sorted(told, key=lambda alert: (alert.fingerprint, alert.starts, alert.status))


async def _hear(tx: Tx, alert: Alert, by: str, now: Instant) -> Outcome:
    told = await store.lock(tx, alert.fingerprint, now)
    step = alert_holds.step(alert, told)
    await store.keep(tx, alert.fingerprint, alert_holds.learned(alert, told, now), now)
    match step:
        case "place":
            return await _place(tx, alert, by, now)
        case "lift":
            reason = f"resolved: {alert_holds.title(alert)}"[: alert_holds.LONGEST_REASON]
            lifted = await hold_store.lift(tx, alert_holds.key_of(alert), by, reason, now)
            return Outcome(alert, "lifted" if lifted else "ignored")
    return Outcome(alert, "ignored")


async def _place(tx: Tx, alert: Alert, by: str, now: Instant) -> Outcome:
    if alert_holds.has_lapsed(alert, now):
        return Outcome(alert, "lapsed")
    hold, problems = alert_holds.hold_of(alert, by, now)
    text = hold.model_dump_json(by_alias=True, exclude_none=True)
    seq = await hold_store.place(tx, fact_of(hold), text, by, now)
    if seq is None:
        return Outcome(alert, "stands", problems)
    return Outcome(alert, "placed", problems, attempts_of(hold))


def _tell(outcomes: Sequence[Outcome], truncated: int, metrics: Metrics) -> None:
    for outcome in outcomes:
        metrics.alerts(outcome.result).inc()
        if outcome.result in ("placed", "lifted"):
            log(f"hold_{outcome.result}", hold_key=alert_holds.key_of(outcome.alert), via="alertmanager")
        if outcome.problems:
            wrong = [problem.pointer for problem in outcome.problems]
            log("alert_misread", level="warning", hold_key=alert_holds.key_of(outcome.alert), wrong=wrong)
    if truncated:
        log("alerts_truncated", level="warning", alerts=truncated)


def _shown(outcome: Outcome) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "fingerprint": outcome.alert.fingerprint,
        "key": alert_holds.key_of(outcome.alert),
        "status": outcome.alert.status,
        "result": outcome.result,
    }
    if outcome.problems:
        shown["errors"] = [
            {"pointer": problem.pointer, "code": problem.code, "detail": problem.detail} for problem in outcome.problems
        ]
    return shown
