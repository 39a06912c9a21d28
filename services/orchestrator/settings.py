"""Settings of the orchestrator: handover to providers, and which adapter serves each channel."""

from collections.abc import Mapping

from pydantic import Field, field_validator

from schemas.documents import did_you_mean
from schemas.vocabulary import CHANNELS
from services.clients.settings import ConnectedServiceSettings
from services.kit.runtime.settings import Seconds, SecretKey, Section

DEFAULT_ADAPTER = "sandbox"


class DispatchSettings(Section):
    """Limits of one handover, in seconds.

    `deadline`: how long one attempt may take. `slack`: by how much clocks may differ. `timeout`: how long a provider
    may take to answer.
    """

    deadline: Seconds = 30.0
    slack: Seconds = 5.0
    timeout: Seconds = 10.0


class WebhookEndpointSettings(Section):
    """The webhook adapter: the URL it posts to, and the secret that signs each request."""

    url: str | None = Field(default=None, repr=False)
    secret: SecretKey | None = None


class OrchestratorSettings(ConnectedServiceSettings):
    """The settings of the orchestrator. `adapters` maps each channel to the name of its adapter."""

    dispatch: DispatchSettings = DispatchSettings()
    webhook: WebhookEndpointSettings = WebhookEndpointSettings()
    adapters: dict[str, str] = Field(default_factory=lambda: dict.fromkeys(CHANNELS, DEFAULT_ADAPTER))

    @field_validator("adapters", mode="before")
    @classmethod
    def _fill_channels(cls, adapters: object) -> object:
        """Give the channels that are not mentioned their default. Raises ValueError for an unknown channel."""
        if not isinstance(adapters, Mapping):
            return adapters
        for channel in adapters:
            if channel not in CHANNELS:
                raise ValueError(f"unknown channel `{channel}`{did_you_mean(str(channel), CHANNELS)}")
        return {**dict.fromkeys(CHANNELS, DEFAULT_ADAPTER), **adapters}
