"""Defers out of hours of silence on the customer's wall clock: the organisation's windows and the customer's own."""

from collections.abc import Sequence

from schemas.decision import Verdict
from schemas.times import Instant
from services.orchestrator.policy.candidate import Candidate
from services.orchestrator.policy.customer_facts import Facts
from services.orchestrator.policy.quiet_windows import QuietWindow, split_wall_time
from services.orchestrator.policy.rules.quiet_hours.declaration import ID, QUIET_HOURS
from services.orchestrator.policy.verdicts import allow, defer

_ALLOW = (allow(ID),)


def evaluate(candidate: Candidate, facts: Facts, t: Instant) -> tuple[Verdict, ...]:
    """One verdict for each window that applies to the candidate; the customer's own comes last."""
    windows = candidate.applicable.quiet_windows
    if facts.preference.quiet_hours:
        windows = (*windows, *(own for own in facts.own_quiet_windows if own.scope.covers(candidate.attributes)))
    if not windows:
        return _ALLOW
    readings = [split_wall_time(zone.wall_time(t)) for zone in facts.quiet_zones]
    return tuple([_evaluate_window(window, readings, facts, t) for window in windows])


def _evaluate_window(window: QuietWindow, readings: Sequence[tuple[int, int]], facts: Facts, t: Instant) -> Verdict:
    for weekday, clock in readings:
        if window.contains(weekday, clock):
            break
    else:
        return allow(ID, window.id)
    free = window.first_instant_outside(facts.quiet_zones, t)
    return defer(ID, QUIET_HOURS, window.id, free, zones=[zone.name for zone in facts.quiet_zones])
