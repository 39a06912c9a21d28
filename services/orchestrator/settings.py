"""Settings of the orchestrator: handover to providers, which adapter serves each channel, and those of extensions."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, create_model, field_validator

from schemas.adapter_registry import ADAPTER_REGISTRY, AdapterDeclaration, default_adapters
from schemas.channel_registry import CHANNEL_REGISTRY, ChannelDeclaration
from schemas.documents import did_you_mean
from schemas.extensions import ExtensionError, NoSettings
from schemas.vocabulary import CHANNELS
from services.clients.settings import ConnectedServiceSettings
from services.kit.runtime.section import Section
from services.kit.runtime.settings import Seconds
from services.orchestrator.mail_settings import MailSettings

REQUIRED_SETTINGS = (
    "database.url",
    "kafka.bootstrap",
    "admin_key",
    "service_key",
    "address_key",
    "services.preference_url",
    "services.suppression_url",
    "web.public_url",
)
"""What must be set for this service to start alone. `tactful dev` needs nothing."""


class DispatchSettings(Section):
    """Limits of one handover, in seconds.

    `deadline`: how long one attempt may take. `slack`: by how much clocks may differ. `timeout`: how long a provider
    may take to answer.
    """

    deadline: Seconds = 30.0
    slack: Seconds = 5.0
    timeout: Seconds = 10.0


class RetentionSettings(Section):
    """For how many days things are kept.

    `decisions`: decisions with their events, messages and attempts; without it for ever. At least as long as the topic
    of events keeps its records, which is checked at start. The history of contacts stays.
    """

    decisions: Annotated[int, Field(ge=30, le=36_500)] | None = None


def _with_extension_sections(base: type[ConnectedServiceSettings]) -> type[ConnectedServiceSettings]:
    """Returns a subclass of `base` that has a section for each adapter, and for each channel with settings of its own,
    named by its id.

    Raises ExtensionError for an id that another section has.
    """
    sections: dict[str, Any] = {}
    extensions: list[AdapterDeclaration | ChannelDeclaration] = [*ADAPTER_REGISTRY.declarations.values()]
    extensions += [each for each in CHANNEL_REGISTRY.declarations.values() if each.settings is not NoSettings]
    for extension in extensions:
        if extension.id in (*base.model_fields, *sections, "dispatch", "adapters", "retention", "mail"):
            raise ExtensionError(f"the extension `{extension.id}` has the name of another section of the settings")
        sections[extension.id] = (extension.settings, extension.settings())
    return create_model("ExtensionSections", __base__=base, __module__=__name__, **sections)


if TYPE_CHECKING:
    ExtensionSections = ConnectedServiceSettings
else:
    ExtensionSections = _with_extension_sections(ConnectedServiceSettings)


class OrchestratorSettings(ExtensionSections):
    """The settings of the orchestrator. `adapters` maps each channel to the id of its adapter, or to `off`."""

    dispatch: DispatchSettings = DispatchSettings()
    retention: RetentionSettings = RetentionSettings()
    mail: MailSettings = MailSettings()
    adapters: dict[str, str] = Field(default_factory=lambda: dict(default_adapters(CHANNELS)))

    @field_validator("adapters", mode="before")
    @classmethod
    def _fill_channels(cls, adapters: object) -> object:
        """Gives the channels that are not mentioned their default. Raises ValueError for an unknown channel."""
        if not isinstance(adapters, Mapping):
            return adapters
        for channel in adapters:
            if channel not in CHANNELS:
                raise ValueError(f"unknown channel `{channel}`{did_you_mean(str(channel), CHANNELS)}")
        return {**default_adapters(CHANNELS), **adapters}
