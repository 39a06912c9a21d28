"""Rebuilds what an event triggered from what is stored: the event, and the campaign from its versions.

Everything that evaluates a message again, or explains an evaluation of the past, gets its `TriggeredCampaign` here.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from schemas.event import Event
from schemas.times import Instant
from services.orchestrator.policy.compiled_campaign import CompiledCampaign
from services.orchestrator.policy.fallback_progress import FallbackProgress
from services.orchestrator.policy.match import TriggeredCampaign


class StoredMessage(NamedTuple):
    """What a row of `message` keeps of the evaluation that planned it. `first_planned` is the column `since`."""

    message_id: str
    customer: str
    campaign: str
    channel: str
    first_planned: Instant | None
    event_source: str
    event_id: str

    @property
    def event_key(self) -> tuple[str, ...]:
        """The key of its event."""
        return self.customer, self.event_source, self.event_id


def rebuild_triggered(
    event: Event,
    data: Mapping[str, Any],
    campaign: CompiledCampaign,
    channels: tuple[str, ...],
    first_planned: Instant | None,
    progress: FallbackProgress | None = None,
) -> TriggeredCampaign:
    """The triggered campaign behind stored messages.

    A campaign that sends on all its channels has one message for each, which are evaluated apart: only `channels` are
    evaluated, and each keeps its own time of first planning. A campaign that chooses a channel has one message, and
    all its channels are evaluated again; with `progress`, of a campaign that falls back, those that were not tried.
    """
    if campaign.sends_on_all_channels:
        planned = {} if first_planned is None else dict.fromkeys(channels, first_planned)
        return TriggeredCampaign(
            event, data, campaign, first_planned_by_channel=planned, channels=channels, progress=progress
        )
    return TriggeredCampaign(
        event, data, campaign, first_planned=first_planned, channels=campaign.channels, progress=progress
    )
