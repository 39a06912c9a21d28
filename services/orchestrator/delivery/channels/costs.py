"""What messages cost, where a channel has prices in its settings."""

from collections.abc import Mapping
from decimal import Decimal
from typing import NamedTuple

from schemas.channel_registry import CHANNEL_REGISTRY
from services.orchestrator.settings import OrchestratorSettings


class MessageCost(NamedTuple):
    """An estimate. `basis`: what is paid for, such as `2 parts to DE`."""

    amount: Decimal
    currency: str
    basis: str

    def __str__(self) -> str:
        """Such as `0.15 EUR`."""
        return f"{self.amount.normalize():f} {self.currency}"


class CostEstimator:
    """Estimates by the settings of the channels."""

    def __init__(self, settings: OrchestratorSettings) -> None:
        self._settings = settings

    def estimate(self, channel: str, content: Mapping[str, str], to: str | None = None) -> MessageCost | None:
        """What a message costs; None where no price is set. `to`: its address; without it, it goes to the
        organisation's country.
        """
        if not CHANNEL_REGISTRY.declarations[channel].has_costs:
            return None
        module = CHANNEL_REGISTRY.load_module(channel, "cost")
        cost: MessageCost | None = module.estimate_cost(
            getattr(self._settings, channel), content, to, self._settings.region
        )
        return cost
