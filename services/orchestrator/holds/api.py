"""Internal route by which suppression asks what lifting a hold would send, to answer `GET /v1/holds/{key}/plan`."""

from fastapi import APIRouter, Request, Response

from schemas.service_api import HOLD_PLAN_PATH, HoldPlanRequest
from services.kit.http import internal_api
from services.kit.http.auth import service_only
from services.orchestrator.holds.lift_plan import HoldPlanner


def hold_plan_routes(planner: HoldPlanner) -> APIRouter:
    """The internal route of plans."""
    routes = APIRouter(tags=["internal"], include_in_schema=False, dependencies=[service_only()])

    @routes.post(HOLD_PLAN_PATH)
    async def plan_hold(request: Request) -> Response:
        plan_request = await internal_api.read_request(request, HoldPlanRequest)
        return internal_api.respond(await planner.plan_release(plan_request.key, plan_request.rate))

    return routes
