"""Denies service and marketing messages while the customer is quarantined.

A record of this customer could not be read, and may have been an opt-out, the end of a consent, a complaint or an
erasure. Required topics are not exempt: what could not be read may have been an opt-out of the channel.
"""

from typing import Any

from schemas.decision import Verdict
from schemas.times import Instant
from services.orchestrator.policy.candidate import Candidate
from services.orchestrator.policy.customer_facts import Facts
from services.orchestrator.policy.rules.quarantine.declaration import ID, QUARANTINED
from services.orchestrator.policy.verdicts import allow, deny, instant_text

_ALLOW = (allow(ID),)


def evaluate(candidate: Candidate, facts: Facts, t: Instant) -> tuple[Verdict, ...]:
    """A quarantine is in force while `start` <= t < `until`, unless its dead letter is closed."""
    if not facts.preference.quarantines and not facts.suppressions.quarantines:
        return _ALLOW
    known = (*facts.preference.quarantines, *facts.suppressions.quarantines)
    live = [each for each in known if each.start <= t + candidate.clock_tolerance and t < each.until]
    if not live:
        return _ALLOW
    since, until = min(each.start for each in live), max(each.until for each in live)
    evidence: dict[str, Any] = {"since": instant_text(since), "ends": instant_text(until), "events": len(live)}
    if all(each.ends_by_itself for each in live):
        evidence["ends_by_itself"] = True
    return (deny(ID, QUARANTINED, until=until, **evidence),)
