"""Names the winner: a cap that drops the candidate would allow it without contacts that outrank it."""

from schemas.decision import Verdict
from schemas.times import Instant
from schemas.vocabulary import Reason
from services.orchestrator.deciding import caps
from services.orchestrator.deciding.candidate import Candidate
from services.orchestrator.deciding.facts import Facts
from services.orchestrator.deciding.scope import ALL_CLASSES
from services.orchestrator.deciding.verdicts import allow, deny

NAME = "arbitration"
REASONS = (Reason.LOWER_PRIORITY,)
CLASSES = ALL_CLASSES

_ALLOW = (allow(NAME),)


def judge(candidate: Candidate, facts: Facts, t: Instant) -> tuple[Verdict, ...]:
    """A verdict for each cap whose refusal is somebody else's turn."""
    contacts = candidate.contacts
    t = contacts.time(t)
    found: list[Verdict] = []
    for cap in candidate.concern.caps:
        if not cap.drops:
            continue
        free = caps.allowed_from(cap, contacts, facts, t)
        if free != t and (lost := caps.lost(cap, candidate, facts, t)) is not None:
            found.append(deny(NAME, Reason.LOWER_PRIORITY, cap.id, until=free, lost_to=lost.to))
    return tuple(found) or _ALLOW
