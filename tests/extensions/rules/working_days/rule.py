"""Defers messages in scope to the customer's next Monday while it is Saturday or Sunday for them."""

from schemas.decision import Verdict
from schemas.times import DAY, Instant
from services.orchestrator.policy.candidate import Candidate
from services.orchestrator.policy.customer_facts import Facts
from services.orchestrator.policy.scope import CompiledScope
from services.orchestrator.policy.verdicts import allow, defer
from tests.extensions.rules.working_days.declaration import ID, REST_DAY

_ALLOW = (allow(ID),)
_DAY_NAMES = ("Saturday", "Sunday")


def evaluate(candidate: Candidate, facts: Facts, t: Instant) -> tuple[Verdict, ...]:
    """One verdict. Without settings in the policy the rule allows everything."""
    settings = facts.policy.rule_settings.get(ID)
    if settings is None or not CompiledScope.from_fields(settings.scope).covers(candidate.attributes):
        return _ALLOW
    zone = facts.calendar_zone
    today = zone.local_day(t)
    days_since_saturday = (today + 5) % 7  # day 0, 1 January 1970, was a Thursday
    if days_since_saturday > 1:
        return _ALLOW
    monday = zone.first_at_wall_time(t, (today + 2 - days_since_saturday) * DAY)
    return (defer(ID, REST_DAY, None, monday, day=_DAY_NAMES[days_since_saturday]),)
