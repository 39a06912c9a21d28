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


Destination = Literal["provider", "customer", "inbox", "nowhere"]
"""Where an adapter brings messages: to a provider; to the customer, without one; into this installation, for people to
look at; or nowhere at all.
"""


@dataclass(frozen=True, slots=True)
class SettingsCheck:
    """What `tactful doctor` reports about the settings of an adapter."""

    detail: str
    """What was found, such as `webhook, signed`; no secret."""
    remedy: str | None = None
    """What to change. None if the adapter can send with these settings."""


@dataclass(frozen=True, slots=True)
class ProviderSearch:
    """What a provider shows of the messages that it has had. Times are seconds after the end of an attempt.

    `shown_for`: how long it shows them. `absent_after`: from when on it certainly shows what it has had, so that what
    it does not show has not arrived; None where nobody can say.
    """

    shown_for: float
    absent_after: float | None = None


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
    destination: Destination = "provider"
    remembers_for: float | None = None
    """For how many seconds the provider recognises a message that it has had. None: always, or it never does; the
    adapter's `idempotent` says which.
    """
    search: Callable[[Any], ProviderSearch | None] = field(default=lambda settings: None)
    """Of an instance of `settings`: how the provider can be asked which messages it has had, by the adapter's
    `find_handed_over`; None if it cannot.
    """
    needs_kafka: bool = False
    """Whether it works only where the log is in Kafka."""
    is_addressed: bool = False
    """Whether addresses name it, as `<its name>:<place>`: on channels with addresses it gets these alone."""
    sends_mail: bool = False
    """Whether it needs a sender: `TACTFUL_MAIL__FROM_ADDRESS`, or one for each class."""
    is_default: bool = False
    """Whether a channel uses it when no setting names another."""
    settings: type[BaseModel] = NoSettings
    """Its section of the settings, `TACTFUL_<ID>__<FIELD>`. Every field has a default, as the adapter may be unused."""
    key_fields: frozenset[str] = frozenset()
    """Settings that are no secrets and change with one, such as the id of a key: they are taken with it."""
    sample: tuple[str, ...] = ()
    """Lines of explanation above its settings in `deploy/.env.example`."""
    check: Callable[[Any], SettingsCheck] = field(default=lambda settings: SettingsCheck(""))
    """Examines an instance of `settings`."""
    has_api: bool = False
    """Whether its module `api` has a function `create_routes(context)` that returns routes of its own."""
    has_retention: bool = False
    """Whether its module `retention` has a coroutine function `expire_kept(context)` that deletes what it has kept for
    long enough; called every hour, by any number of processes.
    """
    confirms_by_itself: bool = False
    """Whether this installation sees by itself what customers do with its messages, without receipts of a provider."""
    has_receipts: bool = False
    """Whether its module `receipts` has a function `read_receipts(settings, request)`, for what the provider tells
    later about messages: `POST /v1/receipts/<id>`.
    """
    receipts_need: tuple[str, ...] = ()
    """The settings without which no receipt comes, or nobody can prove who has sent it."""
    receipts_need_further: Callable[[Any], tuple[str, ...]] = field(default=lambda settings: ())
    """Of an instance of `settings`: what receipts need besides, because of what is set."""
    tells_arrival: bool = True
    """With receipts: whether they also say what has arrived. Otherwise what the provider has taken counts as arrived,
    until it says that it has not.
    """
    has_challenge: bool = False
    """Whether that module has a function `answer_challenge(settings, request)`, for a provider that first asks with
    `GET /v1/receipts/<id>` whether the address is meant for it.
    """
    receipt_answer: tuple[str, str] | None = None
    """Media type and body of the answer 200 to a request with receipts, where the provider takes the body for an
    instruction; None for the counts as JSON.
    """

    @property
    def reaches_customers(self) -> bool:
        """Whether messages leave for those whom they are for."""
        return self.destination in ("provider", "customer")

    def serves(self, channel: str) -> bool:
        """Whether it can be used for a channel."""
        return self.channels is None or channel in self.channels

    def missing_for_receipts(self, settings: BaseModel) -> tuple[str, ...]:
        """Which settings it still needs for receipts; `settings`: an instance of its own."""
        needed = (*self.receipts_need, *self.receipts_need_further(settings))
        return tuple(field for field in needed if getattr(settings, field) is None)


ADAPTER_REGISTRY: Final = ExtensionRegistry(AdapterDeclaration, "services.orchestrator.delivery.adapters")


def default_adapters(channels: Iterable[str]) -> Mapping[str, str]:
    """The adapter of each channel for which nothing is set."""
    defaults = [each for each in ADAPTER_REGISTRY.declarations.values() if each.is_default]
    return {channel: next((each.id for each in defaults if each.serves(channel)), OFF) for channel in channels}


def adapter_choices() -> str:
    """What a setting may name, for error texts: `sandbox, webhook, null or off`."""
    return f"{', '.join(ADAPTER_REGISTRY.declarations)} or {OFF}"
