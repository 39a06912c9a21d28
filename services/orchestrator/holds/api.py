"""The door at which suppression asks what lifting a hold would send; people ask `GET /v1/holds/{key}/plan` there."""

from fastapi import APIRouter, Request, Response

from services.clients.orchestrator import HOLD_PLAN, HoldQuestion
from services.kit.http import internal_api
from services.kit.http.auth import service_only
from services.orchestrator.holds.lift_plan import HoldPlanner


def router(planner: HoldPlanner) -> APIRouter:
    """The route of plans."""
    routes = APIRouter(tags=["internal"], include_in_schema=False, dependencies=[service_only()])

    @routes.post(HOLD_PLAN)
    async def plan(request: Request) -> Response:
        question = await internal_api.question(request, HoldQuestion)
        return internal_api.answer(await planner.plan(question.key, question.rate))

    return routes
