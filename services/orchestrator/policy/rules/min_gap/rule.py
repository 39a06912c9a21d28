"""Defers a message that would come closer than a minimum gap to another contact, before or after it."""

from functools import lru_cache

from schemas.decision import Verdict
from schemas.times import Instant, format_duration
from services.orchestrator.policy import free_instants
from services.orchestrator.policy.candidate import Candidate
from services.orchestrator.policy.compiled_policy import Gap
from services.orchestrator.policy.customer_facts import Facts
from services.orchestrator.policy.rules.min_gap.declaration import CAP_WINDOW, ID
from services.orchestrator.policy.verdicts import ALLOW, allow, defer, instant_text

_ALLOW_WITHOUT_GAPS = (allow(ID),)


def evaluate(candidate: Candidate, facts: Facts, t: Instant) -> tuple[Verdict, ...]:
    """Exactly `gap` apart is allowed. One campaign keeps no gap between channels for one event."""
    gaps = candidate.applicable.gaps
    if not gaps:
        return _ALLOW_WITHOUT_GAPS
    t = candidate.contacts.evaluation_time(t)
    return tuple([_evaluate_gap(gap, candidate, t) for gap in gaps])


def _evaluate_gap(gap: Gap, candidate: Candidate, t: Instant) -> Verdict:
    times = candidate.contacts.times_by_slot[gap.slot]
    free = free_instants.next_free_rolling(times, 1, gap.gap, t)
    if free == t:
        candidate.contacts.require_complete_since(t - gap.gap)
        return _allow(gap.id, gap.gap)
    near = min((at for at in times if abs(at - t) < gap.gap), key=lambda at: abs(at - t))
    return defer(ID, CAP_WINDOW, gap.id, free, contact=instant_text(near), gap=format_duration(gap.gap))


@lru_cache(maxsize=8192)
def _allow(id: str, gap: int) -> Verdict:
    return Verdict(ID, id, ALLOW, None, None, {"gap": format_duration(gap)})
