"""Denies what the do-not-contact list covers: by an entry for the customer, or by entries for every usable address.

An entry that stands only until a person has decided what a reply means parks the message instead.
"""

from collections.abc import Sequence
from typing import Final

from schemas.decision import Verdict
from schemas.facts import SuppressionEntry
from schemas.times import HOUR, Instant
from schemas.vocabulary import SuppressionReason
from services.orchestrator.policy.candidate import Candidate
from services.orchestrator.policy.customer_facts import Facts
from services.orchestrator.policy.rules.definition import SituationCause
from services.orchestrator.policy.rules.suppression.declaration import ID, SUPPRESSION_LIST, UNDECIDED_REPLY
from services.orchestrator.policy.verdicts import allow, defer, deny

_ALLOW = (allow(ID),)
_PROVISIONAL: Final = SuppressionReason.UNDECIDED_REPLY.value
LOOK_AGAIN: Final = 4 * HOUR
"""After which a parked message is evaluated anyway: the decision wakes the messages of the customer who has replied,
and others may have the same address.
"""


def evaluate(candidate: Candidate, facts: Facts, t: Instant) -> tuple[Verdict, ...]:
    """An entry is in force while `at` <= t < `expires`."""
    if not facts.suppressions.entries:
        return _ALLOW
    live = facts.live_suppressions(candidate.attributes, t, candidate.clock_tolerance)
    usable = facts.usable_address_indexes(candidate.channel, candidate.attributes.cls) if live else ()
    final = [entry for entry in live if entry.reason != _PROVISIONAL]
    if (refusal := _find_refusal(final, usable)) is not None:
        return (refusal,)
    if len(live) > len(final) and _covers(live, usable):
        return (defer(ID, UNDECIDED_REPLY, None, None),)
    return _ALLOW


def list_wait_causes(verdict: Verdict, candidate: Candidate, facts: Facts, t: Instant) -> Sequence[SituationCause]:
    """The decision of a person, which wakes what waits for it as the end of a situation does."""
    return (SituationCause(UNDECIDED_REPLY, candidate.channel, t + LOOK_AGAIN),)


def _find_refusal(live: Sequence[SuppressionEntry], usable: Sequence[int]) -> Verdict | None:
    customer_entries = [entry for entry in live if entry.address is None]
    if customer_entries:
        return _deny(customer_entries, _last_expiry(customer_entries), "customer")
    if not _covers(live, usable):
        return None
    entries_by_address = [[entry for entry in live if entry.address == index] for index in usable]
    ends = [_last_expiry(entries) for entries in entries_by_address]
    known_ends = [end for end in ends if end is not None]
    return _deny(
        [entry for entries in entries_by_address for entry in entries],
        min(known_ends) if known_ends else None,
        "address",
    )


def _covers(live: Sequence[SuppressionEntry], usable: Sequence[int]) -> bool:
    """Whether these entries cover the customer, or every usable address."""
    covered = {entry.address for entry in live}
    return None in covered or (bool(usable) and covered.issuperset(usable))


def _last_expiry(entries: Sequence[SuppressionEntry]) -> Instant | None:
    """Returns when the last of them expires, or None if one never does."""
    ends = [entry.expires for entry in entries if entry.expires is not None]
    return max(ends) if len(ends) == len(entries) else None


def _deny(entries: Sequence[SuppressionEntry], until: Instant | None, covers: str) -> Verdict:
    reasons = sorted({entry.reason for entry in entries})
    return deny(ID, SUPPRESSION_LIST, until=until, reasons=reasons, entries=len(entries), covers=covers)
