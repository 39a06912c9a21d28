"""Denies customers of a control group: the global one (marketing), or the campaign's own (service too)."""

import hashlib
from decimal import Decimal
from functools import lru_cache

from schemas.decision import Verdict
from schemas.times import Instant
from schemas.vocabulary import Class
from services.orchestrator.policy.candidate import Candidate
from services.orchestrator.policy.customer_facts import Facts
from services.orchestrator.policy.rules.holdout.declaration import HOLDOUT, ID
from services.orchestrator.policy.verdicts import allow, deny

_ALLOW = (allow(ID),)


def evaluate(candidate: Candidate, facts: Facts, t: Instant) -> tuple[Verdict, ...]:
    """The draw is a stable hash, so a customer stays in the group."""
    campaign, global_holdout = candidate.campaign, facts.policy.document.holdout
    if campaign.holdout and is_in_holdout(f"campaign:{campaign.key}:{candidate.customer}", campaign.holdout):
        return (deny(ID, HOLDOUT, group="campaign", percent=campaign.holdout),)
    if global_holdout is None or campaign.cls != Class.MARKETING:
        return _ALLOW
    if is_in_holdout(f"global:{global_holdout.salt}:{candidate.customer}", global_holdout.percent):
        return (deny(ID, HOLDOUT, group="global", percent=global_holdout.percent),)
    return _ALLOW


@lru_cache(maxsize=65_536)
def is_in_holdout(key: str, percent: float) -> bool:
    """Whether the key's hash, of 10,000 equal shares, is within the percentage."""
    return int(hashlib.sha256(key.encode()).hexdigest()[:8], 16) % 10_000 < Decimal(str(percent)) * 100
