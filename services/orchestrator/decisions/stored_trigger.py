"""A waiting or marked message as a touch once more: its event from the inbox, its campaign as it is now."""

from collections.abc import Mapping
from typing import Any

from schemas.event import Event, decode_event, parse_data
from schemas.times import Instant
from services.orchestrator.campaigns.snapshot import CatalogueSnapshot
from services.orchestrator.policy.match import Catalogue, TriggeredCampaign


def decode_triggered(
    event: bytes,
    campaign_key: str,
    channel: str,
    first_planned: Instant | None,
    catalogue: Catalogue,
    snapshot: CatalogueSnapshot,
) -> TriggeredCampaign:
    """What is judged again: all channels of a choice, or the one message. `since`: when it was first planned.

    Raises LookupError when no version of the campaign ever ran.
    """
    decoded = decode_event(event)
    return build_triggered(decoded, parse_data(decoded), campaign_key, channel, first_planned, catalogue, snapshot)


def build_triggered(
    event: Event,
    data: Mapping[str, Any],
    campaign_key: str,
    channel: str,
    first_planned: Instant | None,
    catalogue: Catalogue,
    snapshot: CatalogueSnapshot,
) -> TriggeredCampaign:
    """The same for an event at hand. Raises LookupError."""
    campaign = catalogue.campaigns.get(campaign_key) or snapshot.get_launched_campaign(campaign_key)
    if campaign is None:
        raise LookupError(f"the campaign {campaign_key} is gone")
    if campaign.sends_on_all_channels:
        planned = {} if first_planned is None else {channel: first_planned}
        return TriggeredCampaign(event, data, campaign, first_planned_by_channel=planned, channels=(channel,))
    return TriggeredCampaign(event, data, campaign, first_planned=first_planned, channels=campaign.channels)
