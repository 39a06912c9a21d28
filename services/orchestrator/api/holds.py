"""The door at which suppression asks what lifting a hold would send; people ask `GET /v1/holds/{key}/plan` there."""

from fastapi import APIRouter, Request, Response

from services.kit import door
from services.kit.auth import service_only
from services.orchestrator.client import HOLD_PLAN, HoldQuestion
from services.orchestrator.hold_plan import HoldPlanner


def router(planner: HoldPlanner) -> APIRouter:
    """The route of plans."""
    routes = APIRouter(tags=["internal"], include_in_schema=False, dependencies=[service_only()])

    @routes.post(HOLD_PLAN)
    async def plan(request: Request) -> Response:
        question = await door.question(request, HoldQuestion)
        return door.answer(await planner.plan(question.key, question.rate))

    return routes
