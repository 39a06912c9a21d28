"""At most n contacts per window. A cap that drops and was lost to somebody is left to the rule `arbitration`."""

from schemas.decision import Verdict
from schemas.times import Instant
from schemas.vocabulary import Reason
from services.orchestrator.deciding import caps
from services.orchestrator.deciding.candidate import Candidate
from services.orchestrator.deciding.facts import Facts
from services.orchestrator.deciding.policy import WISH_SLOT, Cap
from services.orchestrator.deciding.scope import ALL_CLASSES
from services.orchestrator.deciding.verdicts import allow, defer, deny

NAME = "frequency_cap"
REASONS = (Reason.FREQUENCY_CAP, Reason.CAP_WINDOW)
CLASSES = ALL_CLASSES

_ALLOW = (allow(NAME),)


def judge(candidate: Candidate, facts: Facts, t: Instant) -> tuple[Verdict, ...]:
    """One verdict for each cap that concerns the candidate, the customer's own wish last."""
    t = candidate.contacts.time(t)
    verdicts = [_verdict(cap, candidate, facts, t) for cap in candidate.concern.caps]
    if facts.wish is not None and WISH_SLOT in candidate.concern.slots:
        verdicts.append(_verdict(facts.wish, candidate, facts, t))
    return tuple(verdicts) or _ALLOW


def _verdict(cap: Cap, candidate: Candidate, facts: Facts, t: Instant) -> Verdict:
    free = caps.allowed_from(cap, candidate, facts, t)
    evidence = {"limit": cap.limit, "counted": len(candidate.contacts.times[cap.slot])}
    if free == t:
        return Verdict(NAME, cap.id, "allow", None, None, evidence)
    if not cap.drops:
        return defer(NAME, Reason.CAP_WINDOW, cap.id, free, **evidence)
    lost = caps.lost(cap, candidate, facts, t)
    if lost is not None:
        return allow(NAME, cap.id, **evidence, lost_to=lost.to)
    return deny(NAME, Reason.FREQUENCY_CAP, cap.id, until=free, **evidence)
