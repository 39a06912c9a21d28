"""What lifting a hold would send. The orchestrator, which has the messages, judges them."""

from collections.abc import Sequence
from typing import Annotated, Any, Protocol

from fastapi import APIRouter, Query

from schemas.service_api import DEFAULT_RELEASE_RATE, MAX_RELEASE_RATE, DecisionCount, HoldPlan, HoldPlanSample
from schemas.times import format_instant
from services.kit.db.database import Database
from services.kit.errors import Conflict, NotFound
from services.kit.http.auth import Principal, requires
from services.kit.runtime.clock import Clock
from services.suppression.api.forms import format_optional_instant, hold_document
from services.suppression.store import hold_store

OUTCOMES = ("send", "defer", "suppress", "fail")
PLANNABLE_STATES = ("active", "scheduled")


class HoldPlanApi(Protocol):
    """What is asked of the orchestrator: services.clients.orchestrator.OrchestratorClient."""

    async def hold_plan(self, key: str, rate: int) -> HoldPlan:
        """What lifting this hold would do. Raises Transient."""


def hold_plan_routes(database: Database, planner: HoldPlanApi, clock: Clock) -> APIRouter:
    """GET /v1/holds/{key}/plan."""
    routes = APIRouter(prefix="/v1/holds", tags=["holds"])

    @routes.get("/{key}/plan", summary="What lifting a hold would send, now and after caps; nothing is changed")
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
            raise Conflict("this hold does not stand any more, so lifting it would do nothing", code="wrong_state")
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
