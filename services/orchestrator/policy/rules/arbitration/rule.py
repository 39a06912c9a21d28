"""Names the winner: a cap that drops the candidate would allow it without contacts that outrank it."""

from schemas.decision import Verdict
from schemas.times import Instant
from services.orchestrator.policy import cap_arithmetic
from services.orchestrator.policy.candidate import Candidate
from services.orchestrator.policy.customer_facts import Facts
from services.orchestrator.policy.rules.arbitration.declaration import ID, LOWER_PRIORITY
from services.orchestrator.policy.verdicts import allow, deny

_ALLOW = (allow(ID),)


def evaluate(candidate: Candidate, facts: Facts, t: Instant) -> tuple[Verdict, ...]:
    """A verdict for each cap whose place went to a contact that outranks the candidate."""
    applicable, contacts = candidate.applicable, candidate.contacts
    t = contacts.evaluation_time(t)
    if not applicable.dropping_caps or (
        _has_no_rivals(candidate) and contacts.ledger.complete_from <= t - applicable.look_back
    ):
        return _ALLOW
    found: list[Verdict] = []
    for cap in applicable.dropping_caps:
        free = cap_arithmetic.next_allowed(cap, contacts, facts, t)
        if free != t and (winner := cap_arithmetic.find_winner(cap, candidate, facts, t)) is not None:
            found.append(deny(ID, LOWER_PRIORITY, cap.id, until=free, lost_to=winner.message_id))
    return tuple(found) or _ALLOW


def _has_no_rivals(candidate: Candidate) -> bool:
    """Whether no contact can have displaced it: it has not waited, and its event led to no other contact."""
    return (
        candidate.first_planned is None and candidate.triggered.event_hash not in candidate.contacts.ledger.event_hashes
    )
