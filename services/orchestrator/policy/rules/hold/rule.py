"""Stops messages that an operator's hold covers: mode `drop` denies, mode `defer` waits for the hold's end.

A hold without an end parks the message until the hold is lifted.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from schemas.decision import Verdict
from schemas.facts import HoldFact, MessageScope
from schemas.times import Instant
from services.orchestrator.policy.candidate import Candidate
from services.orchestrator.policy.customer_facts import Facts
from services.orchestrator.policy.rules.definition import HoldCause
from services.orchestrator.policy.rules.hold.declaration import HOLD_DROP, ID, INCIDENT_HOLD
from services.orchestrator.policy.scope import CompiledScope
from services.orchestrator.policy.verdicts import allow, defer, deny, instant_text

_ALLOW = (allow(ID),)


def evaluate(candidate: Candidate, facts: Facts, t: Instant) -> tuple[Verdict, ...]:
    """One verdict for each hold in force (`from` <= t < `until`) that covers the candidate, in order of key."""
    if not facts.holds and not facts.suppressions.holds:
        return _ALLOW
    verdicts = [
        _hold_verdict(hold)
        for hold in facts.all_holds
        if hold.start <= t + candidate.clock_tolerance
        and (hold.until is None or t < hold.until)
        and hold_covers(hold, candidate, facts)
    ]
    return tuple(verdicts) or _ALLOW


def list_wait_causes(verdict: Verdict, candidate: Candidate, facts: Facts, t: Instant) -> Sequence[HoldCause]:
    """The hold that a parking verdict names."""
    return (HoldCause(str(verdict.id)),)


def hold_covers(hold: HoldFact, candidate: Candidate, facts: Facts) -> bool:
    """Whether scope, country and every named trait match."""
    if hold.region is not None and hold.region != facts.preference.country:
        return False
    if not _compiled_scope(hold.scope).covers(candidate.attributes):
        return False
    if not hold.trait:
        return True
    traits = facts.customer_values["traits"]
    return all(name in traits and json_equal(traits[name], value) for name, value in hold.trait.items())


@lru_cache(maxsize=1024)
def _compiled_scope(scope: MessageScope) -> CompiledScope:
    return CompiledScope.from_fields(scope)


def json_equal(a: Any, b: Any) -> bool:
    """Equality of JSON values: numbers by value; a boolean does not equal a number."""
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(json_equal(a[name], b[name]) for name in a)
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        return len(a) == len(b) and all(map(json_equal, a, b))
    return bool(a == b)


def _hold_verdict(hold: HoldFact) -> Verdict:
    if hold.mode == "drop":
        return deny(ID, HOLD_DROP, hold.key, until=hold.until, since=instant_text(hold.start))
    return defer(ID, INCIDENT_HOLD, hold.key, hold.until, since=instant_text(hold.start))
