"""A waiting or marked message as a touch once more: its event from the inbox, its campaign as it is now."""

from collections.abc import Mapping
from typing import Any

from schemas.event import Event, data_of, decode_structured
from schemas.times import Instant
from services.orchestrator.campaigns.snapshot import Snapshot
from services.orchestrator.policy.match import Catalogue, Touch


def touch_again(
    event: bytes, campaign_key: str, channel: str, since: Instant | None, catalogue: Catalogue, snapshot: Snapshot
) -> Touch:
    """What is judged again: all channels of a choice, or the one message. `since`: when it was first planned.

    Raises LookupError when no version of the campaign ever ran.
    """
    found = decode_structured(event)
    return touch_now(found, data_of(found), campaign_key, channel, since, catalogue, snapshot)


def touch_now(
    event: Event,
    data: Mapping[str, Any],
    campaign_key: str,
    channel: str,
    since: Instant | None,
    catalogue: Catalogue,
    snapshot: Snapshot,
) -> Touch:
    """The same for an event at hand. Raises LookupError."""
    campaign = catalogue.campaigns.get(campaign_key) or snapshot.campaign(campaign_key)
    if campaign is None:
        raise LookupError(f"the campaign {campaign_key} is gone")
    if campaign.together:
        planned = {} if since is None else {channel: since}
        return Touch(event, data, campaign, planned=planned, channels=(channel,))
    return Touch(event, data, campaign, since=since, channels=campaign.channels)
