"""The adapters of this installation: what every process must know about each of them, as data.

An adapter is our code for one provider: a folder in `services/orchestrator/delivery/adapters/` (docs/extending.md). Its
declaration is read by all processes, because all of them may be given its settings; its code is imported only by the
processes that hand messages over with it.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from pydantic import BaseModel

from schemas.extensions import ExtensionRegistry, NoSettings

OFF: Final = "off"
"""What the setting of a channel says instead of an adapter's id if the channel sends nothing."""


@dataclass(frozen=True, slots=True)
class SettingsCheck:
    """What `tactful doctor` reports about the settings of an adapter."""

    detail: str
    """What was found, such as `webhook, signed`; no secret."""
    remedy: str | None = None
    """What to change. None if the adapter can send with these settings."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AdapterDeclaration:
    """One adapter."""

    id: str
    order: int
    """Its place in lists; smaller comes first."""
    summary: str
    """What it does with messages, where settings list the adapters; empty if its id says it."""
    channels: frozenset[str] | None = None
    """The ids of the channels that it serves; None for all."""
    destination: Literal["provider", "inbox", "nowhere"] = "provider"
    """Where messages go: to a provider; into this installation, for people to look at; or nowhere at all."""
    remembers_for: float | None = None
    """For how many seconds the provider recognises a message that it has had. None: always, or it never does; the
    adapter's `idempotent` says which.
    """
    is_addressed: bool = False
    """Whether addresses name it, as `<its name>:<place>`: on channels with addresses it gets these alone."""
    sends_mail: bool = False
    """Whether it needs a sender: `TACTFUL_MAIL__FROM_ADDRESS`, or one for each class."""
    is_default: bool = False
    """Whether a channel uses it when no setting names another."""
    settings: type[BaseModel] = NoSettings
    """Its section of the settings, `TACTFUL_<ID>__<FIELD>`. Every field has a default, as the adapter may be unused."""
    sample: tuple[str, ...] = ()
    """Lines of explanation above its settings in `deploy/.env.example`."""
    check: Callable[[Any], SettingsCheck] = field(default=lambda settings: SettingsCheck(""))
    """Examines an instance of `settings`."""
    has_api: bool = False
    """Whether its module `api` has a function `create_routes(database)` that returns routes of its own."""

    has_receipts: bool = False
    """Whether its module `receipts` has a function `read_receipts(settings, request)`, for what the provider tells
    later about messages: `POST /v1/receipts/<id>`.
    """
    receipt_answer: tuple[str, str] | None = None
    """Media type and body of the answer 200 to a request with receipts, where the provider takes the body for an
    instruction; None for the counts as JSON.
    """

    def serves(self, channel: str) -> bool:
        """Whether it can be used for a channel."""
        return self.channels is None or channel in self.channels


ADAPTER_REGISTRY: Final = ExtensionRegistry(AdapterDeclaration, "services.orchestrator.delivery.adapters")


def gives_receipts(adapter: str | None) -> bool:
    """Whether the provider behind an adapter tells later what became of messages. One that is not known here may."""
    declaration = ADAPTER_REGISTRY.declarations.get(adapter or "")
    return declaration is None or declaration.has_receipts


def default_adapters(channels: Iterable[str]) -> Mapping[str, str]:
    """The adapter of each channel for which nothing is set."""
    defaults = [each for each in ADAPTER_REGISTRY.declarations.values() if each.is_default]
    return {channel: next((each.id for each in defaults if each.serves(channel)), OFF) for channel in channels}


def adapter_choices() -> str:
    """What a setting may name, for error texts: `sandbox, webhook, null or off`."""
    return f"{', '.join(ADAPTER_REGISTRY.declarations)} or {OFF}"
