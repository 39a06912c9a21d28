"""At most n contacts per window. A cap that drops and was lost to somebody is left to the rule `arbitration`."""

from functools import lru_cache

from schemas.decision import Verdict
from schemas.times import Instant
from schemas.vocabulary import Reason
from services.orchestrator.policy import cap_arithmetic
from services.orchestrator.policy.candidate import Candidate
from services.orchestrator.policy.compiled_policy import WISH_SLOT, Cap
from services.orchestrator.policy.customer_facts import Facts
from services.orchestrator.policy.scope import ALL_CLASSES
from services.orchestrator.policy.verdicts import ALLOW, allow, defer, deny

NAME = "frequency_cap"
REASONS = (Reason.FREQUENCY_CAP, Reason.CAP_WINDOW)
CLASSES = ALL_CLASSES

_ALLOW = (allow(NAME),)


def judge(candidate: Candidate, facts: Facts, t: Instant) -> tuple[Verdict, ...]:
    """One verdict for each cap that concerns the candidate, the customer's own wish last."""
    concern, t = candidate.concern, candidate.contacts.time(t)
    verdicts = [_verdict(cap, candidate, facts, t) for cap in concern.caps]
    if (wish := facts.wish) is not None and WISH_SLOT in concern.slots:
        verdicts.append(_verdict(wish, candidate, facts, t))
    return tuple(verdicts) or _ALLOW


def _verdict(cap: Cap, candidate: Candidate, facts: Facts, t: Instant) -> Verdict:
    contacts = candidate.contacts
    free, counted = cap_arithmetic.allowed_from(cap, contacts, facts, t), len(contacts.times[cap.slot])
    if free == t:
        return _allow(cap.id, cap.limit, counted)
    evidence = {"limit": cap.limit, "counted": counted}
    if not cap.drops:
        return defer(NAME, Reason.CAP_WINDOW, cap.id, free, **evidence)
    lost = cap_arithmetic.lost(cap, candidate, facts, t)
    if lost is not None:
        return Verdict(NAME, cap.id, ALLOW, None, None, {**evidence, "lost_to": lost.to})
    return deny(NAME, Reason.FREQUENCY_CAP, cap.id, until=free, **evidence)


@lru_cache(maxsize=8192)
def _allow(cap: str, limit: int, counted: int) -> Verdict:
    return Verdict(NAME, cap, ALLOW, None, None, {"limit": limit, "counted": counted})
