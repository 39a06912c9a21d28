"""Denies a campaign that the customer has received for another event: ever, or within its reentry interval."""

from functools import lru_cache

from schemas.decision import Verdict
from schemas.times import Instant
from services.orchestrator.policy import free_instants
from services.orchestrator.policy.candidate import Candidate
from services.orchestrator.policy.customer_facts import Facts
from services.orchestrator.policy.ledger import BEGINNING_OF_TIME
from services.orchestrator.policy.rules.reentry.declaration import DUPLICATE, ID
from services.orchestrator.policy.verdicts import ALLOW, allow, deny, instant_text

_ALLOW_ALWAYS = (allow(ID),)


def evaluate(candidate: Candidate, facts: Facts, t: Instant) -> tuple[Verdict, ...]:
    """Exactly the interval apart is allowed, before or after the other message."""
    campaign, contacts = candidate.campaign, candidate.contacts
    if campaign.reentry_once:
        others = contacts.same_campaign_times
        if others:
            return (deny(ID, DUPLICATE, reentry="once", last=instant_text(others[-1])),)
        contacts.require_complete_since(BEGINNING_OF_TIME)
        return _allow("once")
    if campaign.reentry_every is not None:
        others, t = contacts.same_campaign_times, contacts.evaluation_time(t)
        free = free_instants.next_free_rolling(others, 1, campaign.reentry_every, t)
        if free != t:
            near = [instant_text(at) for at in others if abs(at - t) < campaign.reentry_every]
            return (deny(ID, DUPLICATE, until=free, reentry=campaign.document.reentry, near=near),)
        contacts.require_complete_since(t - campaign.reentry_every)
        return _allow(campaign.document.reentry)
    return _ALLOW_ALWAYS


@lru_cache(maxsize=1024)
def _allow(reentry: str) -> tuple[Verdict, ...]:
    return (Verdict(ID, None, ALLOW, None, None, {"reentry": reentry}),)
