"""Webhook for Alertmanager: a firing alert places a hold, a resolved one lifts it."""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, NotRequired

from fastapi import APIRouter
from starlette.responses import JSONResponse
from typing_extensions import TypedDict

from schemas.alertmanager import Alert, Notification
from schemas.documents import validate_document
from schemas.service_api import AttemptScope, ScopeNames
from schemas.times import Instant
from services.kit.db.database import Database, Tx
from services.kit.errors import Problem
from services.kit.http.answer_types import EnforcedFields, ProblemFields
from services.kit.http.auth import Principal, requires
from services.kit.http.openapi import answers
from services.kit.http.request_body import plain_body
from services.kit.observability.logs import log
from services.kit.runtime.clock import Clock
from services.suppression import alert_holds
from services.suppression.api.hold_routes import attempt_scope, hold_names, to_hold_fact
from services.suppression.api.scope_notes import NamesApi, ScopeNote, note_unknown_names_of_all
from services.suppression.metrics import SuppressionMetrics
from services.suppression.store import hold_store
from services.suppression.suppression_enforcement import SuppressionEnforcer

AlertResult = Literal["placed", "stands", "lapsed", "lifted", "ignored"]


class AlertFields(TypedDict):
    """What became of one alert. `notes`: names in the scope of its hold that nothing has."""

    fingerprint: str
    key: str
    status: str
    result: AlertResult
    errors: NotRequired[list[ProblemFields]]
    notes: NotRequired[list[ScopeNote]]


class AlertAnswer(EnforcedFields):
    """What became of the alerts. `truncated`: how many Alertmanager left out."""

    items: list[AlertFields]
    truncated: int


class AlertOutcome(NamedTuple):
    """The result of one alert. `scope`: the attempts that its hold concerns, when one was placed; `names`: what it
    names.
    """

    alert: Alert
    result: AlertResult
    problems: tuple[Problem, ...] = ()
    scope: AttemptScope | None = None
    names: ScopeNames = ScopeNames()


def alertmanager_routes(
    database: Database,
    enforcer: SuppressionEnforcer,
    orchestrator: NamesApi,
    clock: Clock,
    metrics: SuppressionMetrics,
) -> APIRouter:
    """POST /v1/holds/alertmanager."""
    routes = APIRouter(prefix="/v1/holds", tags=["holds"])

    @routes.post(
        "/alertmanager",
        summary="Alertmanager's webhook, version 4; answered once holds are enforced",
        **answers({200: AlertAnswer, 202: AlertAnswer}),
    )
    async def receive_alerts(
        principal: Principal = requires("holds:write"), body: object = plain_body(Notification)
    ) -> JSONResponse:
        notification = validate_document(Notification, body)
        now = clock.now()
        async with database.write() as tx:
            await hold_store.delete_old_alerts(tx, now)
            outcomes = [
                await _process_alert(tx, alert, principal.name, now) for alert in _sort_alerts(notification.alerts)
            ]
        _report_outcomes(outcomes, notification.truncated, metrics)
        scopes = [outcome.scope for outcome in outcomes if outcome.scope is not None]
        enforcement = await enforcer.enforce(scopes, "hold")
        notes = await note_unknown_names_of_all(orchestrator, [outcome.names for outcome in outcomes])
        _report_notes(outcomes, notes)
        items = [_outcome_document(*each) for each in zip(outcomes, notes, strict=True)]
        answer = {"items": items, "truncated": notification.truncated}
        return JSONResponse({**answer, **enforcement.to_response()}, 200 if enforcement.enforced else 202)

    return routes


def _sort_alerts(alerts: Sequence[Alert]) -> list[Alert]:
    """By fingerprint, the order of row locks, so that requests cannot deadlock; then older firings first."""
    return sorted(alerts, key=lambda alert: (alert.fingerprint, alert.starts, alert.status))


async def _process_alert(tx: Tx, alert: Alert, actor: str, now: Instant) -> AlertOutcome:
    history = await hold_store.lock_alert(tx, alert.fingerprint, now)
    action = alert_holds.choose_action(alert, history)
    await hold_store.save_alert(tx, alert.fingerprint, alert_holds.update_history(alert, history, now), now)
    match action:
        case "place":
            return await _place_hold(tx, alert, actor, now)
        case "lift":
            reason = f"resolved: {alert_holds.alert_title(alert)}"[: alert_holds.MAX_REASON_LENGTH]
            lifted = await hold_store.lift_hold(tx, alert_holds.hold_key(alert), actor, reason, now)
            return AlertOutcome(alert, "lifted" if lifted else "ignored")
    return AlertOutcome(alert, "ignored")


async def _place_hold(tx: Tx, alert: Alert, actor: str, now: Instant) -> AlertOutcome:
    if alert_holds.has_lapsed(alert, now):
        return AlertOutcome(alert, "lapsed")
    hold, problems = alert_holds.build_hold(alert, actor, now)
    text = hold.model_dump_json(by_alias=True, exclude_none=True)
    seq = await hold_store.place_hold(tx, to_hold_fact(hold), text, actor, now)
    if seq is None:
        return AlertOutcome(alert, "stands", problems)
    return AlertOutcome(alert, "placed", problems, attempt_scope(hold), hold_names(hold))


def _report_outcomes(outcomes: Sequence[AlertOutcome], truncated: int, metrics: SuppressionMetrics) -> None:
    for outcome in outcomes:
        metrics.alerts(outcome.result).inc()
        if outcome.result in ("placed", "lifted"):
            log(f"hold_{outcome.result}", hold_key=alert_holds.hold_key(outcome.alert), via="alertmanager")
        if outcome.problems:
            wrong = [problem.pointer for problem in outcome.problems]
            log("alert_misread", level="warning", hold_key=alert_holds.hold_key(outcome.alert), wrong=wrong)
    if truncated:
        log("alerts_truncated", level="warning", alerts=truncated)


def _report_notes(outcomes: Sequence[AlertOutcome], notes: Sequence[Sequence[ScopeNote]]) -> None:
    """Alertmanager shows nobody our answer, so the log says it too."""
    for outcome, found in zip(outcomes, notes, strict=True):
        if found:
            details = [note["detail"] for note in found]
            log("hold_without_effect", level="warning", hold_key=alert_holds.hold_key(outcome.alert), notes=details)


def _outcome_document(outcome: AlertOutcome, notes: Sequence[ScopeNote]) -> dict[str, Any]:
    document: dict[str, Any] = {
        "fingerprint": outcome.alert.fingerprint,
        "key": alert_holds.hold_key(outcome.alert),
        "status": outcome.alert.status,
        "result": outcome.result,
    }
    if outcome.problems:
        document["errors"] = [
            {"pointer": problem.pointer, "code": problem.code, "detail": problem.detail} for problem in outcome.problems
        ]
    if notes:
        document["notes"] = notes
    return document
