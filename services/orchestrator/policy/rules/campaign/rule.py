"""Denies messages of a campaign that is paused, stopped, or outside its start and end."""

from typing import Any

from schemas.decision import Verdict
from schemas.times import Instant
from services.orchestrator.policy.candidate import Candidate
from services.orchestrator.policy.customer_facts import Facts
from services.orchestrator.policy.rules.campaign.declaration import CAMPAIGN_INACTIVE, ID
from services.orchestrator.policy.verdicts import allow, deny, instant_text

_ALLOW = (allow(ID),)


def evaluate(candidate: Candidate, facts: Facts, t: Instant) -> tuple[Verdict, ...]:
    """`start` is inclusive, `end` exclusive."""
    campaign = candidate.campaign
    if not campaign.active:
        evidence: dict[str, Any] = {"active": False}
        if campaign.status is not None:
            evidence["status"] = campaign.status
        return (deny(ID, CAMPAIGN_INACTIVE, **evidence),)
    if campaign.start is not None and t < campaign.start:
        return (deny(ID, CAMPAIGN_INACTIVE, until=campaign.start, start=instant_text(campaign.start)),)
    if campaign.end is not None and t >= campaign.end:
        return (deny(ID, CAMPAIGN_INACTIVE, end=instant_text(campaign.end)),)
    return _ALLOW
