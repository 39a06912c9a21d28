"""All routes of the orchestrator, each given what it works with."""

from fastapi import APIRouter

from services.kit.auth import KeyRing
from services.kit.bus import Bus
from services.kit.clock import Clock
from services.kit.db import Database
from services.kit.fence import Nudge
from services.orchestrator.api import (
    campaigns,
    contacts,
    decisions,
    events,
    holds,
    internal,
    keys,
    messages,
    policy,
    preview,
    sandbox,
    shadow,
    simulations,
    violations,
    why,
)
from services.orchestrator.catalogue.policies import SituationsDoor, TopicsDoor
from services.orchestrator.catalogue.snapshot import Snapshot
from services.orchestrator.channels.content import check_content
from services.orchestrator.gather import Gatherer
from services.orchestrator.hold_plan import HoldPlanner
from services.orchestrator.metrics import Intake
from services.orchestrator.render import Links
from services.orchestrator.replay import Replayer


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
        campaigns.router(database, clock, check_content),
        policy.router(database, clock, topics, situations),
        shadow.router(database),
        simulations.router(database, clock, check_content),
        violations.router(database),
        keys.router(database, clock),
        events.router(events.Log(bus, topic, database, applied, intake), clock),
        decisions.router(database, Replayer(database, gatherer)),
        messages.router(database),
        sandbox.router(database),
        contacts.router(database),
        why.router(why.Explainer(database, snapshot, gatherer, clock)),
        preview.router(preview.Previewer(database, snapshot, gatherer, links, clock)),
        internal.router(database, ring),
        holds.router(HoldPlanner(database, snapshot, gatherer, clock)),
    ]
