"""Denies customers who do not meet the campaign's audience condition. Fails where it cannot be evaluated."""

from schemas.decision import Verdict
from schemas.times import Instant
from services.orchestrator.policy.candidate import Candidate
from services.orchestrator.policy.customer_facts import Facts
from services.orchestrator.policy.rules.audience.declaration import ID, NOT_IN_AUDIENCE
from services.orchestrator.policy.verdicts import allow, deny

_ALLOW = (allow(ID),)


def evaluate(candidate: Candidate, facts: Facts, t: Instant) -> tuple[Verdict, ...]:
    """A condition over a missing value is false."""
    if candidate.audience.matches():
        return _ALLOW
    condition, missing = candidate.campaign.document.audience, candidate.audience.missing_variable
    if missing is None:
        return (deny(ID, NOT_IN_AUDIENCE, condition=condition),)
    return (deny(ID, NOT_IN_AUDIENCE, condition=condition, missing=missing),)
