"""All channels by id, with their code."""

from typing import Final

from schemas.channel_registry import CHANNEL_REGISTRY
from services.orchestrator.delivery.channels.definition import ChannelDefinition


def _load_channel(id: str) -> ChannelDefinition:
    channel: ChannelDefinition = CHANNEL_REGISTRY.load_module(id, "channel").CHANNEL
    return channel


CHANNELS_BY_ID: Final = {id: _load_channel(id) for id in CHANNEL_REGISTRY.declarations}
