"""Defers out of hours of silence on the customer's wall clock: the organisation's windows and the customer's own."""

from collections.abc import Sequence

from schemas.decision import Verdict
from schemas.times import Instant
from schemas.vocabulary import Reason
from services.orchestrator.policy.candidate import Candidate
from services.orchestrator.policy.customer_facts import Facts
from services.orchestrator.policy.quiet_windows import Quiet, reading
from services.orchestrator.policy.scope import ALL_CLASSES
from services.orchestrator.policy.verdicts import allow, defer

NAME = "quiet_hours"
REASONS = (Reason.QUIET_HOURS,)
CLASSES = ALL_CLASSES

_ALLOW = (allow(NAME),)


def judge(candidate: Candidate, facts: Facts, t: Instant) -> tuple[Verdict, ...]:
    """One verdict for each window that concerns the candidate, the customer's own last."""
    windows = candidate.concern.quiet
    if facts.preference.quiet_hours:
        windows = (*windows, *(own for own in facts.own_quiet if own.scope.covers(candidate.kind)))
    if not windows:
        return _ALLOW
    readings = [reading(zone.wall(t)) for zone in facts.quiet_zones]
    return tuple([_verdict(quiet, readings, facts, t) for quiet in windows])


def _verdict(quiet: Quiet, readings: Sequence[tuple[int, int]], facts: Facts, t: Instant) -> Verdict:
    for weekday, clock in readings:
        if quiet.holds(weekday, clock):
            break
    else:
        return allow(NAME, quiet.id)
    free = quiet.over(facts.quiet_zones, t)
    return defer(NAME, Reason.QUIET_HOURS, quiet.id, free, zones=[zone.name for zone in facts.quiet_zones])
