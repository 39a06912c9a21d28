"""How far back any rule of a policy may look for contacts: what a ledger must keep."""

from collections.abc import Iterable

from schemas.times import Instant
from services.orchestrator.policy.compiled_campaign import CompiledCampaign
from services.orchestrator.policy.compiled_policy import CompiledPolicy
from services.orchestrator.policy.ledger import BEGINNING_OF_TIME, Ledger
from services.orchestrator.policy.time_zones import LONGEST_PERIOD

MAX_UNTRIMMED_CONTACTS = 64
"""A ledger with more contacts than this drops those that no rule can look back at any more."""
TRIMMED_PART = 8
"""But only when they are an eighth of it or more: dropping decodes every contact, which costs more than a decision."""


def look_back_start(policy: CompiledPolicy, campaigns: Iterable[CompiledCampaign], now: Instant) -> Instant:
    """Returns the instant before which contacts no longer matter, for evaluations at `now`."""
    span = look_back_span(policy, campaigns)
    return BEGINNING_OF_TIME if span is None else now - span


def look_back_span(policy: CompiledPolicy, campaigns: Iterable[CompiledCampaign]) -> int | None:
    """Microseconds before the present within which a contact can still count; None means for ever (reentry `once`).

    Customers may choose a monthly limit of their own, so it is never less than a month.
    """
    longest = LONGEST_PERIOD["month"]
    for cap in policy.caps:
        longest = max(longest, cap.look_back)
    for gap in policy.gaps:
        longest = max(longest, gap.gap)
    for history in policy.histories:
        longest = max(longest, history.within if history.contacts else 0)
    for campaign in campaigns:
        if campaign.reentry_once:
            return None
        longest = max(longest, campaign.reentry_every or 0)
    return longest


def trim_ledger(ledger: Ledger, complete_since: Instant) -> Ledger:
    """Returns the ledger without what no rule looks at, if it is long and enough of it is that old."""
    count = len(ledger)
    if count <= MAX_UNTRIMMED_CONTACTS or ledger.row_at(count // TRIMMED_PART).at >= complete_since:
        return ledger  # rows are in the order of time
    return ledger.forget(complete_since)
