"""Denies what the do-not-contact list covers: by an entry for the customer, or by entries for every usable address."""

from collections.abc import Sequence

from schemas.decision import Verdict
from schemas.facts import SuppressionEntry
from schemas.times import Instant
from services.orchestrator.policy.candidate import Candidate
from services.orchestrator.policy.customer_facts import Facts
from services.orchestrator.policy.rules.suppression.declaration import ID, SUPPRESSION_LIST
from services.orchestrator.policy.verdicts import allow, deny

_ALLOW = (allow(ID),)


def evaluate(candidate: Candidate, facts: Facts, t: Instant) -> tuple[Verdict, ...]:
    """An entry is in force while `at` <= t < `expires`."""
    if not facts.suppressions.entries:
        return _ALLOW
    live = facts.live_suppressions(candidate.attributes, t, candidate.clock_tolerance)
    customer_entries = [entry for entry in live if entry.address is None]
    if customer_entries:
        return (_deny(customer_entries, _last_expiry(customer_entries), "customer"),)
    usable = facts.usable_address_indexes(candidate.channel, candidate.attributes.cls)
    entries_by_address = [[entry for entry in live if entry.address == index] for index in usable]
    if not usable or not all(entries_by_address):
        return _ALLOW
    ends = [_last_expiry(entries) for entries in entries_by_address]
    known_ends = [end for end in ends if end is not None]
    return (
        _deny(
            [entry for entries in entries_by_address for entry in entries],
            min(known_ends) if known_ends else None,
            "address",
        ),
    )


def _last_expiry(entries: Sequence[SuppressionEntry]) -> Instant | None:
    """Returns when the last of them expires, or None if one never does."""
    ends = [entry.expires for entry in entries if entry.expires is not None]
    return max(ends) if len(ends) == len(entries) else None


def _deny(entries: Sequence[SuppressionEntry], until: Instant | None, covers: str) -> Verdict:
    reasons = sorted({entry.reason for entry in entries})
    return deny(ID, SUPPRESSION_LIST, until=until, reasons=reasons, entries=len(entries), covers=covers)
