"""Builders for tests of shadow evaluation: live evaluations of events, and catalogues with versions in shadow."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from schemas.event import Event
from schemas.message import Message
from schemas.times import Instant
from services.kit.observability.metrics import Registry
from services.orchestrator.decisions.evaluation import (
    CustomerEvaluation,
    EvaluationRequest,
    evaluate_customer,
)
from services.orchestrator.decisions.store import EMPTY_LEDGER, EventKey, VersionedLedger
from services.orchestrator.insight.shadow.observations import ShadowObservations
from services.orchestrator.insight.shadow.recorder import ShadowRecorder
from services.orchestrator.insight.shadow.shadow_series import ShadowMetrics
from services.orchestrator.policy.compiled_campaign import CompiledCampaign
from services.orchestrator.policy.compiled_policy import CompiledPolicy
from services.orchestrator.policy.customer_facts import Facts
from services.orchestrator.policy.decide import PlannedMessage
from services.orchestrator.policy.ledger import Contact
from services.orchestrator.policy.match import Catalogue, ShadowVersions, match_campaigns
from tests.support.policy_builders import at, campaign, event, facts, policy

NOW = at("02 10:00")
STRICT = {"id": "one-a-day", "limit": 1, "window": {"rolling": "24h"}, "on_exceed": "drop"}


@dataclass(frozen=True)
class Came:
    """An event, or the contact that it reports."""

    event: Event
    data: Mapping[str, Any] = field(default_factory=dict)
    reported_contact: Contact | None = None

    @property
    def key(self) -> EventKey:
        return self.event.subject, self.event.source, self.event.id


def newer(of: CompiledCampaign, version: int = 2) -> CompiledCampaign:
    """The campaign as a later version."""
    return replace(of, version=version)


def catalogue(
    *live: CompiledCampaign, watched: Sequence[CompiledCampaign] = (), rules: CompiledPolicy | None = None
) -> Catalogue:
    """`live` campaigns under a policy without rules, with campaigns and a policy in shadow."""
    shadows = ShadowVersions({each.key: each for each in watched}, rules and replace(rules, version=2))
    configured = frozenset({"email", "push", "sms", "in_app"})
    return Catalogue({each.key: each for each in live}, policy(), configured, shadows)


def rendered(planned: PlannedMessage, known: Facts, now: Instant) -> Message:
    event, campaign = planned.triggered.event, planned.triggered.campaign
    return Message(
        *(planned.message_id, event.subject, campaign.key, campaign.version, planned.channel, campaign.cls),
        *("somewhere", {}, event.source, event.id, "en"),
    )


def lived(of: Catalogue, came: Sequence[Came], known: Facts) -> list[CustomerEvaluation]:
    """What the pipeline makes of the events."""
    questions = []
    for each in came:
        found = match_campaigns(each.event, each.data, known.customer_values, of)
        if found or each.reported_contact:
            questions.append(EvaluationRequest(tuple(found), each.reported_contact))
    return [evaluate_customer("c-1", known, questions, EMPTY_LEDGER, NOW, 0, rendered)] if questions else []


def shadowed(
    of: Catalogue,
    *came: Came,
    known: Facts | None = None,
    ledgers: dict[str, VersionedLedger] | None = None,
    **options: Any,
) -> ShadowObservations:
    """The notes of a batch of events."""
    known = known or facts()
    shadow = ShadowRecorder(options.pop("render", rendered), ShadowMetrics(Registry()), **options)
    return asyncio.run(shadow.evaluate_batch(came, lived(of, came, known), {"c-1": known}, ledgers or {}, of, NOW))


def offer(id: str = "e-1", **changes: Any) -> Came:
    return Came(event(id=id), **changes)


def lines(notes: ShadowObservations) -> list[tuple[str, str, str, str, bool | None]]:
    """Noun, outcome, reason, live outcome and agreement of each note."""
    return [(n.shadow.noun, n.outcome, n.reason, n.live_outcome, n.agrees) for n in notes.observations]


__all__ = ["Came", "campaign", "catalogue", "lines", "newer", "offer", "policy", "shadowed"]
