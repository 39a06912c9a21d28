"""Defers out of hours of silence on the customer's wall clock: the organisation's windows and the customer's own."""

from schemas.decision import Verdict
from schemas.times import Instant
from schemas.vocabulary import Reason
from services.orchestrator.deciding.candidate import Candidate
from services.orchestrator.deciding.facts import Facts
from services.orchestrator.deciding.quiet import Quiet
from services.orchestrator.deciding.scope import ALL_CLASSES
from services.orchestrator.deciding.verdicts import allow, defer

NAME = "quiet_hours"
REASONS = (Reason.QUIET_HOURS,)
CLASSES = ALL_CLASSES

_ALLOW = (allow(NAME),)


def judge(candidate: Candidate, facts: Facts, t: Instant) -> tuple[Verdict, ...]:
    """One verdict for each window that concerns the candidate, the customer's own last."""
    verdicts = [_verdict(quiet, facts, t) for quiet in candidate.concern.quiet]
    verdicts += [_verdict(quiet, facts, t) for quiet in facts.own_quiet if quiet.scope.covers(candidate.kind)]
    return tuple(verdicts) or _ALLOW


def _verdict(quiet: Quiet, facts: Facts, t: Instant) -> Verdict:
    free = quiet.over(facts.quiet_zones, t)
    if free == t:
        return allow(NAME, quiet.id)
    return defer(NAME, Reason.QUIET_HOURS, quiet.id, free, zones=[zone.name for zone in facts.quiet_zones])
