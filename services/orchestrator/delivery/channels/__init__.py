"""The channels: one file each, listed here."""

from typing import Final

from services.orchestrator.delivery.channels.channel import BadAddress, Channel
from services.orchestrator.delivery.channels.email import EMAIL
from services.orchestrator.delivery.channels.in_app import IN_APP
from services.orchestrator.delivery.channels.push import PUSH
from services.orchestrator.delivery.channels.sms import SMS

__all__ = ["BY_KEY", "CHANNELS", "BadAddress", "Channel"]

CHANNELS: Final[tuple[Channel, ...]] = (EMAIL, SMS, PUSH, IN_APP)
BY_KEY: Final[dict[str, Channel]] = {channel.key: channel for channel in CHANNELS}
