"""Names the winner: a cap that drops the candidate would allow it without contacts that outrank it."""

from schemas.decision import Verdict
from schemas.times import Instant
from schemas.vocabulary import Reason
from services.orchestrator.policy import cap_arithmetic
from services.orchestrator.policy.candidate import Candidate
from services.orchestrator.policy.customer_facts import Facts
from services.orchestrator.policy.scope import ALL_CLASSES
from services.orchestrator.policy.verdicts import allow, deny

NAME = "arbitration"
REASONS = (Reason.LOWER_PRIORITY,)
CLASSES = ALL_CLASSES

_ALLOW = (allow(NAME),)


def judge(candidate: Candidate, facts: Facts, t: Instant) -> tuple[Verdict, ...]:
    """A verdict for each cap whose refusal is somebody else's turn."""
    concern, contacts = candidate.concern, candidate.contacts
    t = contacts.time(t)
    if not concern.dropping or (_unrivalled(candidate) and contacts.ledger.complete_from <= t - concern.reach):
        return _ALLOW
    found: list[Verdict] = []
    for cap in concern.dropping:
        free = cap_arithmetic.allowed_from(cap, contacts, facts, t)
        if free != t and (lost := cap_arithmetic.lost(cap, candidate, facts, t)) is not None:
            found.append(deny(NAME, Reason.LOWER_PRIORITY, cap.id, until=free, lost_to=lost.to))
    return tuple(found) or _ALLOW


def _unrivalled(candidate: Candidate) -> bool:
    """Whether nobody can have taken its turn: it has not waited, and nothing else came of its event."""
    return candidate.since is None and candidate.touch.event_hash not in candidate.contacts.ledger.events
