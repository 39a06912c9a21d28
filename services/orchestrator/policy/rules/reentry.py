"""Denies a campaign that the customer has had from another event: ever, or too close on either side."""

from schemas.decision import Verdict
from schemas.times import Instant
from schemas.vocabulary import Reason
from services.orchestrator.policy import free_instants
from services.orchestrator.policy.candidate import Candidate
from services.orchestrator.policy.customer_facts import Facts
from services.orchestrator.policy.ledger import BEGINNING
from services.orchestrator.policy.scope import ALL_CLASSES
from services.orchestrator.policy.verdicts import allow, deny, text

NAME = "reentry"
REASONS = (Reason.DUPLICATE,)
CLASSES = ALL_CLASSES

_ALLOW = (allow(NAME),)


def judge(candidate: Candidate, facts: Facts, t: Instant) -> tuple[Verdict, ...]:
    """Exactly `every` apart is allowed."""
    campaign, contacts = candidate.campaign, candidate.contacts
    if campaign.once:
        others = contacts.others
        if others:
            return (deny(NAME, Reason.DUPLICATE, reentry="once", last=text(others[-1])),)
        contacts.reaches(BEGINNING)
    elif campaign.every is not None:
        others, t = contacts.others, contacts.time(t)
        free = free_instants.rolling(others, 1, campaign.every, t)
        if free != t:
            near = [text(at) for at in others if abs(at - t) < campaign.every]
            return (deny(NAME, Reason.DUPLICATE, until=free, reentry=campaign.document.reentry, near=near),)
        contacts.reaches(t - campaign.every)
    return _ALLOW
