"""Defers what would come closer than `gap` to another contact in scope, on either side."""

from schemas.decision import Verdict
from schemas.times import Instant
from schemas.vocabulary import Reason
from services.orchestrator.policy import free_instants
from services.orchestrator.policy.candidate import Candidate
from services.orchestrator.policy.compiled_policy import Gap
from services.orchestrator.policy.customer_facts import Facts
from services.orchestrator.policy.scope import ALL_CLASSES
from services.orchestrator.policy.verdicts import allow, defer, text

NAME = "min_gap"
REASONS = (Reason.CAP_WINDOW,)
CLASSES = ALL_CLASSES

_ALLOW = (allow(NAME),)


def judge(candidate: Candidate, facts: Facts, t: Instant) -> tuple[Verdict, ...]:
    """Exactly `gap` apart is allowed; siblings keep no gap."""
    gaps = candidate.concern.gaps
    if not gaps:
        return _ALLOW
    t = candidate.contacts.time(t)
    return tuple([_verdict(gap, candidate, t) for gap in gaps])


def _verdict(gap: Gap, candidate: Candidate, t: Instant) -> Verdict:
    times = candidate.contacts.times[gap.slot]
    free = free_instants.rolling(times, 1, gap.gap, t)
    if free == t:
        candidate.contacts.reaches(t - gap.gap)
        return allow(NAME, gap.id)
    near = min((at for at in times if abs(at - t) < gap.gap), key=lambda at: abs(at - t))
    return defer(NAME, Reason.CAP_WINDOW, gap.id, free, contact=text(near))
