"""At most n contacts per window. A cap lost to a higher-ranked contact is left to the rule `arbitration`."""

from functools import lru_cache

from schemas.decision import Verdict
from schemas.times import Instant
from services.orchestrator.policy import cap_arithmetic
from services.orchestrator.policy.candidate import Candidate
from services.orchestrator.policy.compiled_policy import CUSTOMER_CAP_SLOT, Cap
from services.orchestrator.policy.customer_facts import Facts
from services.orchestrator.policy.rules.frequency_cap.declaration import CAP_WINDOW, FREQUENCY_CAP, ID
from services.orchestrator.policy.verdicts import ALLOW, allow, defer, deny

_ALLOW = (allow(ID),)


def evaluate(candidate: Candidate, facts: Facts, t: Instant) -> tuple[Verdict, ...]:
    """One verdict for each cap that applies to the candidate; the customer's own limit comes last."""
    applicable, t = candidate.applicable, candidate.contacts.evaluation_time(t)
    verdicts = [_evaluate_cap(cap, candidate, facts, t) for cap in applicable.caps]
    if (own_cap := facts.own_cap) is not None and CUSTOMER_CAP_SLOT in applicable.slots:
        verdicts.append(_evaluate_cap(own_cap, candidate, facts, t))
    return tuple(verdicts) or _ALLOW


def _evaluate_cap(cap: Cap, candidate: Candidate, facts: Facts, t: Instant) -> Verdict:
    contacts = candidate.contacts
    free, counted = cap_arithmetic.next_allowed(cap, contacts, facts, t), len(contacts.times_by_slot[cap.slot])
    if free == t:
        return _allow(cap.id, cap.limit, counted, cap.window_text)
    evidence = {"limit": cap.limit, "counted": counted, "per": cap.window_text}
    if not cap.drops:
        return defer(ID, CAP_WINDOW, cap.id, free, **evidence)
    winner = cap_arithmetic.find_winner(cap, candidate, facts, t)
    if winner is not None:
        return Verdict(ID, cap.id, ALLOW, None, None, {**evidence, "lost_to": winner.message_id})
    return deny(ID, FREQUENCY_CAP, cap.id, until=free, **evidence)


@lru_cache(maxsize=8192)
def _allow(cap: str, limit: int, counted: int, window: str) -> Verdict:
    return Verdict(ID, cap, ALLOW, None, None, {"limit": limit, "counted": counted, "per": window})
