"""How far back any rule may look."""

from collections.abc import Iterable

from schemas.times import Instant
from services.orchestrator.policy.compiled_campaign import Campaign
from services.orchestrator.policy.compiled_policy import Policy
from services.orchestrator.policy.ledger import BEGINNING
from services.orchestrator.policy.time_zones import LONGEST_PERIOD


def look_back(policy: Policy, campaigns: Iterable[Campaign], now: Instant) -> Instant:
    """The instant before which no rule looks, judged at `now`."""
    span = horizon(policy, campaigns)
    return BEGINNING if span is None else now - span


def horizon(policy: Policy, campaigns: Iterable[Campaign]) -> int | None:
    """Microseconds before the present within which a contact can still count; None: for ever (reentry `once`).

    Any customer may wish for a cap a month, so it is never less than that.
    """
    longest = LONGEST_PERIOD["month"]
    for cap in policy.caps:
        longest = max(longest, cap.span)
    for gap in policy.gaps:
        longest = max(longest, gap.gap)
    for history in policy.histories:
        longest = max(longest, history.within if history.contacts else 0)
    for campaign in campaigns:
        if campaign.once:
            return None
        longest = max(longest, campaign.every or 0)
    return longest
