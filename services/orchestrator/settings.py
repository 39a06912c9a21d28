"""Settings of the orchestrator: handover to providers, which adapter serves each channel, and those of extensions."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from pydantic import AfterValidator, BaseModel, Field, SecretStr, ValidationError, create_model, field_validator

from schemas.adapter_registry import (
    ADAPTER_REGISTRY,
    OFF,
    AdapterDeclaration,
    adapter_choices,
    default_adapters,
)
from schemas.channel_registry import CHANNEL_REGISTRY, ChannelDeclaration
from schemas.documents import did_you_mean
from schemas.extensions import ExtensionError, NoSettings
from schemas.vocabulary import CHANNELS
from services.clients.settings import ConnectedServiceSettings
from services.kit.runtime.section import Section
from services.kit.runtime.settings import Seconds, SettingsError, StrongKey
from services.orchestrator.adapter_settings import RouteSettings, parse_accounts, parse_rates, parse_routes
from services.orchestrator.bounce_settings import BounceSettings
from services.orchestrator.link_settings import OWN_LINKS, LinkSettings
from services.orchestrator.mail_settings import MailSettings
from services.orchestrator.oidc_settings import OidcSettings
from services.orchestrator.trial_recipients import OnlyTo, TrialRecipients, parse_recipients

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


def _check_rates(text: str) -> str:
    parse_rates(text)
    return text


def _check_routes(text: str) -> str:
    parse_routes(text)
    return text


def _check_accounts(text: SecretStr) -> SecretStr:
    for name, account in parse_accounts(text).items():
        if name in ADAPTER_REGISTRY.declarations or name == OFF:
            raise ValueError(f"{name}: this is the name of a kind of adapter, choose another")
        if name == OWN_LINKS:
            raise ValueError(f"{name}: receipts of our own links have this name, choose another")
        if account.adapter not in ADAPTER_REGISTRY.declarations:
            raise ValueError(f"{name}: there is no adapter `{account.adapter}`: use {adapter_choices()}")
        if ADAPTER_REGISTRY.declarations[account.adapter].confirms_by_itself:
            raise ValueError(f"{name}: there can be one `{account.adapter}` alone, as customers ask it by its own API")
    return text


class DispatchSettings(Section):
    """Limits of one handover, in seconds, and of what adapters get.

    `deadline`: how long one attempt may take. `slack`: by how much clocks may differ. `timeout`: how long a provider
    may take to answer. `rates`: how many messages a second an adapter gets, over all processes: `sendgrid=100, news=5`.
    `max_duplicates`: 1 lets a transactional message be sent once more where nobody knows what became of it and the
    provider would not recognise it; it may then arrive twice. `only_to`: the only recipients of adapters whose messages
    leave the installation (trial_recipients.py).
    """

    deadline: Seconds = 30.0
    slack: Seconds = 5.0
    timeout: Seconds = 10.0
    rates: Annotated[str, AfterValidator(_check_rates)] = ""
    max_duplicates: int = Field(default=0, ge=0, le=1)
    only_to: OnlyTo = ""


class AuditSettings(Section):
    """How the audit log is signed.

    `key`: signs the head of the log every hour (Ed25519, derived from this text); heads are not signed without it. No
    other setting may have the same value. `heads_file`: a file to which each signed head is added, best on storage that
    the database's administrators cannot write; heads are in the process's log in any case.
    """

    key: StrongKey | None = None
    heads_file: Path | None = None


class AgentSettings(Section):
    """What agents may do. `messages_per_day`: so many messages of campaigns for agents may each of them send a day."""

    messages_per_day: int = Field(default=20, ge=0, le=10_000)


@cache
def section_of(extension: AdapterDeclaration | ChannelDeclaration) -> type[BaseModel]:
    """The section of an extension: what it declares and, of an adapter that reaches people, its trial mode."""
    if isinstance(extension, ChannelDeclaration) or not extension.reaches_customers:
        return extension.settings
    own = extension.settings
    return create_model(
        own.__name__, __base__=own, __module__=own.__module__, __doc__=own.__doc__, only_to=(OnlyTo, "")
    )


def _with_extension_sections(base: type[ConnectedServiceSettings]) -> type[ConnectedServiceSettings]:
    """Returns a subclass of `base` that has a section for each adapter, and for each channel with settings of its own,
    named by its id.

    Raises ExtensionError for an id that another section has.
    """
    sections: dict[str, Any] = {}
    extensions: list[AdapterDeclaration | ChannelDeclaration] = [*ADAPTER_REGISTRY.declarations.values()]
    extensions += [each for each in CHANNEL_REGISTRY.declarations.values() if each.settings is not NoSettings]
    for extension in extensions:
        if extension.id in (
            *base.model_fields,
            *sections,
            "dispatch",
            "adapters",
            "retention",
            "agents",
            "audit",
            "oidc",
            "mail",
            "bounces",
            "links",
            "accounts",
        ):
            raise ExtensionError(f"the extension `{extension.id}` has the name of another section of the settings")
        section = section_of(extension)
        sections[extension.id] = (section, section())
    return create_model("ExtensionSections", __base__=base, __module__=__name__, **sections)


if TYPE_CHECKING:
    ExtensionSections = ConnectedServiceSettings
else:
    ExtensionSections = _with_extension_sections(ConnectedServiceSettings)


class OrchestratorSettings(ExtensionSections):
    """The settings of the orchestrator.

    `adapters` maps each channel to the name of its adapter, to `off`, or to several adapters (adapter_settings.py).
    `accounts`: JSON, further adapters by name, each with its kind and the settings of that kind.
    """

    dispatch: DispatchSettings = DispatchSettings()
    agents: AgentSettings = AgentSettings()
    audit: AuditSettings = AuditSettings()
    oidc: OidcSettings = OidcSettings()
    mail: MailSettings = MailSettings()
    bounces: BounceSettings = BounceSettings()
    tracked_links: LinkSettings = LinkSettings()
    adapters: dict[str, Annotated[str, AfterValidator(_check_routes)]] = Field(
        default_factory=lambda: dict(default_adapters(CHANNELS))
    )
    accounts: Annotated[SecretStr, AfterValidator(_check_accounts)] | None = None

    @field_validator("adapters", mode="before")
    @classmethod
    def _fill_channels(cls, adapters: object) -> object:
        """Gives the channels that are not mentioned their default. Raises ValueError for an unknown channel."""
        if not isinstance(adapters, Mapping):
            return adapters
        for channel in adapters:
            if channel not in CHANNELS:
                raise ValueError(f"unknown channel `{channel}`{did_you_mean(str(channel), CHANNELS)}")
        texts = {key: _as_json(value) if isinstance(value, list) else value for key, value in adapters.items()}
        return {**default_adapters(CHANNELS), **texts}

    @field_validator("accounts", mode="before")
    @classmethod
    def _accept_tables(cls, accounts: object) -> object:
        """Takes tables of a file as well as JSON in a variable."""
        return _as_json(accounts) if isinstance(accounts, Mapping) else accounts

    @property
    def adapter_names(self) -> tuple[str, ...]:
        """The names of all adapters that may be used, whether a channel uses them or not."""
        return (*ADAPTER_REGISTRY.declarations, *parse_accounts(self.accounts))

    def routes_of(self, channel: str) -> tuple[RouteSettings, ...]:
        """The adapters of a channel; none if it is off."""
        return parse_routes(self.adapters[channel])

    def leaves_installation(self, channel: str) -> bool:
        """Whether messages of a channel go anywhere but into this installation, for people to look at."""
        kinds = [self.kind_of(route.adapter) for route in self.routes_of(channel)]
        return any(kind is None or ADAPTER_REGISTRY.declarations[kind].destination != "inbox" for kind in kinds)

    def gives_receipts(self, adapter: str) -> bool:
        """Whether the provider behind an adapter tells later what has arrived, and is set up to. One that is not known
        here may.
        """
        kind = self.kind_of(adapter)
        if kind is None:
            return True
        declaration = ADAPTER_REGISTRY.declarations[kind]
        if declaration.confirms_by_itself:
            return True
        tells = declaration.has_receipts and declaration.tells_arrival
        return tells and not declaration.missing_for_receipts(self.settings_of(adapter))

    def silent_adapters(self) -> dict[str, str]:
        """Of channels that have an adapter without receipts, or whose receipts are not set up, its name."""
        return {
            channel: route.adapter
            for channel in self.adapters
            for route in self.routes_of(channel)
            if not self.gives_receipts(route.adapter)
        }

    def shares_window(self, channel: str) -> bool:
        """Whether several adapters serve a channel on which some messages may only follow one of the customer to the
        same adapter.
        """
        if CHANNEL_REGISTRY.declarations[channel].reply_window is None or not self.leaves_installation(channel):
            return False
        return sum(route.weight > 0 for route in self.routes_of(channel)) > 1

    def trial_of(self, adapter: str) -> TrialRecipients | None:
        """The only recipients that an adapter may reach; None if it is not in trial mode. Raises SettingsError."""
        kind = self.kind_of(adapter)
        if kind is None or not ADAPTER_REGISTRY.declarations[kind].reaches_customers:
            return None
        return parse_recipients(self.settings_of(adapter).only_to or self.dispatch.only_to)

    def kind_of(self, adapter: str) -> str | None:
        """The kind of an adapter: the id of its folder. None if there is no adapter of this name."""
        account = parse_accounts(self.accounts).get(adapter)
        kind = adapter if account is None else account.adapter
        return kind if kind in ADAPTER_REGISTRY.declarations else None

    def settings_of(self, adapter: str) -> Any:
        """The settings of an adapter, an instance of the model that its kind declares. Raises SettingsError."""
        account = parse_accounts(self.accounts).get(adapter)
        if account is None:
            return getattr(self, adapter)
        given = {name: value.get_secret_value() for name, value in account.settings.items()}
        try:
            return section_of(ADAPTER_REGISTRY.declarations[account.adapter]).model_validate(given)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            place = "/".join(map(str, (adapter, *first["loc"])))
            raise SettingsError(f"TACTFUL_ACCOUNTS: {place}: {first['msg']}") from None


def _as_json(value: object) -> str:
    return msgspec.json.encode(value).decode()
