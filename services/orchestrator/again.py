"""A waiting or marked message as a touch once more: its event from the inbox, its campaign as it is now."""

from schemas.event import data_of, decode_structured
from schemas.times import Instant
from services.orchestrator.catalogue.snapshot import Snapshot
from services.orchestrator.deciding.match import Catalogue, Touch


def touch_again(
    event: bytes, campaign_key: str, channel: str, since: Instant | None, catalogue: Catalogue, snapshot: Snapshot
) -> Touch:
    """What is judged again: all channels of a choice, or the one message. `since`: when it was first planned.

    Raises LookupError when no version of the campaign ever ran.
    """
    campaign = catalogue.campaigns.get(campaign_key) or snapshot.campaign(campaign_key)
    if campaign is None:
        raise LookupError(f"the campaign {campaign_key} is gone")
    found = decode_structured(event)
    if campaign.together:
        planned = {} if since is None else {channel: since}
        return Touch(found, data_of(found), campaign, planned=planned, channels=(channel,))
    return Touch(found, data_of(found), campaign, since=since, channels=campaign.channels)
