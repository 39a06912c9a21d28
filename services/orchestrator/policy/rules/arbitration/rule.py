"""Denies a candidate that a dropping cap refuses only because of messages that outrank it, and names the winner.

Such a cap would allow the candidate if the outranking contacts did not count. The rule that counts caps then allows the
candidate, so that the decision gets the reason of this one.
"""

from schemas.decision import Verdict
from schemas.times import Instant
from services.orchestrator.policy import cap_arithmetic
from services.orchestrator.policy.candidate import Candidate
from services.orchestrator.policy.customer_facts import Facts
from services.orchestrator.policy.rules.arbitration.declaration import ID, LOWER_PRIORITY
from services.orchestrator.policy.verdicts import allow, deny

_ALLOW = (allow(ID),)


def evaluate(candidate: Candidate, facts: Facts, t: Instant) -> tuple[Verdict, ...]:
    """One verdict for each cap that the candidate lost to another message."""
    applicable, contacts = candidate.applicable, candidate.contacts
    t = contacts.evaluation_time(t)
    if not applicable.dropping_caps or (
        _has_no_rivals(candidate) and contacts.ledger.complete_from <= t - applicable.look_back
    ):
        return _ALLOW
    denials: list[Verdict] = []
    for cap in applicable.dropping_caps:
        free = cap_arithmetic.next_allowed(cap, contacts, facts, t)
        if free != t and (winner := cap_arithmetic.find_winner(cap, candidate, facts, t)) is not None:
            evidence = {"lost_to": winner.message_id} | ({"winner": winner.campaign} if winner.campaign else {})
            denials.append(deny(ID, LOWER_PRIORITY, cap.id, until=free, **evidence))
    return tuple(denials) or _ALLOW


def _has_no_rivals(candidate: Candidate) -> bool:
    """Whether no other message can have taken its place: it has not waited, and its event planned nothing else."""
    return (
        candidate.first_planned is None and candidate.triggered.event_hash not in candidate.contacts.ledger.event_hashes
    )
