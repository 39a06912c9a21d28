"""Denies what a live do-not-contact entry covers: the customer's own entry, or entries for every usable address."""

from collections.abc import Sequence

from schemas.decision import Verdict
from schemas.facts import Entry
from schemas.times import Instant
from schemas.vocabulary import Reason
from services.orchestrator.policy.candidate import Candidate
from services.orchestrator.policy.customer_facts import Facts
from services.orchestrator.policy.scope import ALL_CLASSES
from services.orchestrator.policy.verdicts import allow, deny

NAME = "suppression"
REASONS = (Reason.SUPPRESSION_LIST,)
CLASSES = ALL_CLASSES

_ALLOW = (allow(NAME),)


def judge(candidate: Candidate, facts: Facts, t: Instant) -> tuple[Verdict, ...]:
    """An entry is live while `at` <= t < `expires`."""
    if not facts.suppressions.entries:
        return _ALLOW
    live = facts.live(candidate.kind, t, candidate.ahead)
    whole = [entry for entry in live if entry.address is None]
    if whole:
        return (_deny(whole, _end(whole)),)
    usable = facts.usable(candidate.channel, candidate.kind.cls)
    stopped = [[entry for entry in live if entry.address == index] for index in usable]
    if not usable or not all(stopped):
        return _ALLOW
    ends = [_end(entries) for entries in stopped]
    told = [end for end in ends if end is not None]
    return (_deny([entry for entries in stopped for entry in entries], min(told) if told else None),)


def _end(entries: Sequence[Entry]) -> Instant | None:
    """When the last of them expires; None when one never does."""
    ends = [entry.expires for entry in entries if entry.expires is not None]
    return max(ends) if len(ends) == len(entries) else None


def _deny(entries: Sequence[Entry], until: Instant | None) -> Verdict:
    reasons = sorted({entry.reason for entry in entries})
    return deny(NAME, Reason.SUPPRESSION_LIST, until=until, reasons=reasons, entries=len(entries))
