"""Denies customers for whom the campaign's condition is false. A condition that cannot be evaluated raises."""

from schemas.decision import Verdict
from schemas.times import Instant
from schemas.vocabulary import Reason
from services.orchestrator.policy.candidate import Candidate
from services.orchestrator.policy.customer_facts import Facts
from services.orchestrator.policy.scope import ALL_CLASSES
from services.orchestrator.policy.verdicts import allow, deny

NAME = "audience"
REASONS = (Reason.NOT_IN_AUDIENCE,)
CLASSES = ALL_CLASSES

_ALLOW = (allow(NAME),)


def evaluate(candidate: Candidate, facts: Facts, t: Instant) -> tuple[Verdict, ...]:
    """A missing value is false."""
    if candidate.audience.matches():
        return _ALLOW
    return (deny(NAME, Reason.NOT_IN_AUDIENCE, condition=candidate.campaign.document.audience),)
