"""Denies a message at or after its expiry: the event's time plus the campaign's `ttl`, or the event's `expirytime`."""

from schemas.decision import Verdict
from schemas.times import Instant
from services.orchestrator.policy.candidate import Candidate
from services.orchestrator.policy.customer_facts import Facts
from services.orchestrator.policy.rules.expiry.declaration import EXPIRED, ID
from services.orchestrator.policy.verdicts import allow, deny, instant_text

_ALLOW = (allow(ID),)


def evaluate(candidate: Candidate, facts: Facts, t: Instant) -> tuple[Verdict, ...]:
    """Exactly at the expiry is too late."""
    expires_at = candidate.triggered.expires_at
    if t < expires_at:
        return _ALLOW
    return (deny(ID, EXPIRED, expires_at=instant_text(expires_at)),)
