"""All routes of the orchestrator, each given what it works with."""

from fastapi import APIRouter

from services.kit.bus.fence import Nudge
from services.kit.bus.protocol import Bus
from services.kit.db.database import Database
from services.kit.http.auth import KeyRing
from services.kit.runtime.clock import Clock
from services.orchestrator import internal_api
from services.orchestrator.access import api as access_api
from services.orchestrator.campaigns import api as campaigns_api
from services.orchestrator.campaigns import policy_api, preview_api
from services.orchestrator.campaigns.policy_workflow import SituationsDoor, TopicsDoor
from services.orchestrator.campaigns.snapshot import Snapshot
from services.orchestrator.decisions import api as decisions_api
from services.orchestrator.decisions import contacts_api, events_api
from services.orchestrator.decisions.facts_reader import Gatherer
from services.orchestrator.delivery import api as delivery_api
from services.orchestrator.delivery import sandbox_api
from services.orchestrator.delivery.channels.content import check_content
from services.orchestrator.delivery.rendering import Links
from services.orchestrator.explain import api as explain_api
from services.orchestrator.explain.replay import Replayer
from services.orchestrator.holds import api as holds_api
from services.orchestrator.holds.lift_plan import HoldPlanner
from services.orchestrator.insight.audit import api as audit_api
from services.orchestrator.insight.shadow import api as shadow_api
from services.orchestrator.insight.simulations import api as simulations_api
from services.orchestrator.metrics import Intake


def routers(
    database: Database,
    bus: Bus,
    clock: Clock,
    *,
    topic: str,
    applied: Nudge,
    ring: KeyRing,
    topics: TopicsDoor,
    situations: SituationsDoor,
    gatherer: Gatherer,
    snapshot: Snapshot,
    links: Links,
    intake: Intake | None = None,
) -> list[APIRouter]:
    """One router a noun."""
    return [
        campaigns_api.router(database, clock, check_content),
        policy_api.router(database, clock, topics, situations),
        shadow_api.router(database),
        simulations_api.router(database, clock, check_content),
        audit_api.router(database),
        access_api.router(database, clock),
        events_api.router(events_api.Log(bus, topic, database, applied, intake), clock),
        decisions_api.router(database, Replayer(database, gatherer)),
        delivery_api.router(database),
        sandbox_api.router(database),
        contacts_api.router(database),
        explain_api.router(explain_api.Explainer(database, snapshot, gatherer, clock)),
        preview_api.router(preview_api.Previewer(database, snapshot, gatherer, links, clock)),
        internal_api.router(database, ring),
        holds_api.router(HoldPlanner(database, snapshot, gatherer, clock)),
    ]
