"""The channels: one file each, listed here."""

from typing import Final

from services.orchestrator.delivery.channels.channel import BadAddress, ChannelDefinition
from services.orchestrator.delivery.channels.email import EMAIL
from services.orchestrator.delivery.channels.in_app import IN_APP
from services.orchestrator.delivery.channels.push import PUSH
from services.orchestrator.delivery.channels.sms import SMS

__all__ = ["CHANNELS", "CHANNELS_BY_KEY", "BadAddress", "ChannelDefinition"]

CHANNELS: Final[tuple[ChannelDefinition, ...]] = (EMAIL, SMS, PUSH, IN_APP)
CHANNELS_BY_KEY: Final[dict[str, ChannelDefinition]] = {channel.key: channel for channel in CHANNELS}
