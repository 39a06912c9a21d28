"""Internal routes by which suppression asks what lifting a hold would send, to answer `GET /v1/holds/{key}/plan`, and
which names in a scope nothing has."""

import difflib
from collections.abc import Iterator, Sequence

from fastapi import APIRouter, Request, Response

from schemas.service_api import (
    HOLD_PLAN_PATH,
    UNKNOWN_NAMES_PATH,
    HoldPlanRequest,
    ScopeNames,
    UnknownScopeName,
    UnknownScopeNames,
)
from services.kit.db.database import Database
from services.kit.http import internal_api
from services.kit.http.auth import service_only
from services.orchestrator.campaigns import store as catalogue_store
from services.orchestrator.campaigns.snapshot import CatalogueSnapshot
from services.orchestrator.holds.lift_plan import HoldPlanner


def hold_plan_routes(planner: HoldPlanner) -> APIRouter:
    """The internal route of plans."""
    routes = APIRouter(tags=["internal"], include_in_schema=False, dependencies=[service_only()])

    @routes.post(HOLD_PLAN_PATH)
    async def plan_hold(request: Request) -> Response:
        plan_request = await internal_api.read_request(request, HoldPlanRequest)
        return internal_api.respond(await planner.plan_release(plan_request.key, plan_request.rate))

    return routes


def scope_name_routes(database: Database, snapshot: CatalogueSnapshot) -> APIRouter:
    """The internal route of unknown names."""
    routes = APIRouter(tags=["internal"], include_in_schema=False, dependencies=[service_only()])

    @routes.post(UNKNOWN_NAMES_PATH)
    async def find_unknown_names(request: Request) -> Response:
        names = await internal_api.read_request(request, ScopeNames)
        async with database.read() as tx:
            catalogue = await snapshot.get_catalogue(tx)
            campaigns = await catalogue_store.list_keys(tx) if names.campaigns else []
        topics = [topic.key for topic in catalogue.policy.document.topics]
        unknown = [*_unknown("campaigns", names.campaigns, campaigns)]
        if topics:  # a policy without a catalogue of topics lets campaigns have any
            unknown += _unknown("topics", names.topics, topics)
        return internal_api.respond(UnknownScopeNames(tuple(unknown)))

    return routes


def _unknown(field: str, names: Sequence[str], known: Sequence[str]) -> Iterator[UnknownScopeName]:
    for index, name in enumerate(names):
        if name not in known:
            nearest = difflib.get_close_matches(name, known, 1)
            yield UnknownScopeName(field, index, name, nearest[0] if nearest else None)
