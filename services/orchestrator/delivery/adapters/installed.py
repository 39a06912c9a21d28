"""The adapters of an installation, as delivery uses them."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from schemas.adapter_registry import ProviderSearch
from schemas.times import SECOND, Instant
from services.orchestrator.adapter_settings import RouteSettings
from services.orchestrator.delivery.adapters.definition import Adapter
from services.orchestrator.delivery.routing import Routes
from services.orchestrator.delivery.search_times import next_search
from services.orchestrator.trial_recipients import TrialRecipients


@dataclass(frozen=True, slots=True)
class Adapters:
    """The adapters of this installation: by name, and which of them serve a channel.

    `rates`: how many messages a second one of them may get, where that is set. `memories`: for how many seconds one
    recognises a message that it has had, of those that forget. `silent`: those of which no receipts come, whether a
    channel uses them now or not. `kinds`: the kinds of those that have other names. `trials`: the only recipients of
    those that are in trial mode. `searches`: of those whose provider can be asked which messages it has had.
    """

    by_name: Mapping[str, Adapter]
    routes: Routes
    rates: Mapping[str, float]
    memories: Mapping[str, float] = field(default_factory=dict)
    silent: frozenset[str] = frozenset()
    kinds: Mapping[str, str] = field(default_factory=dict)
    trials: Mapping[str, TrialRecipients] = field(default_factory=dict)
    searches: Mapping[str, ProviderSearch] = field(default_factory=dict)

    @property
    def channels(self) -> frozenset[str]:
        """The channels that can send."""
        return frozenset(self.routes)

    def in_trial(self, channel: str) -> list[str]:
        """The adapters of a channel that reach listed recipients only."""
        return [route.adapter for route in self.routes.get(channel, ()) if route.adapter in self.trials]

    def gives_receipts(self, name: str | None) -> bool:
        """Whether the provider behind an adapter tells later what became of messages. One not known here may."""
        return name not in self.silent

    def first_search(self, name: str, now: Instant) -> Instant | None:
        """When the provider can first be asked about a message whose attempt ends now; None if it never can."""
        search = self.searches.get(name)
        age = next_search(search, 0.0) if search is not None else None
        return None if age is None else now + int(age * SECOND)

    @classmethod
    def one_each(cls, by_channel: Mapping[str, Adapter]) -> "Adapters":
        """One adapter for each channel."""
        routes = {channel: (RouteSettings(adapter=adapter.name),) for channel, adapter in by_channel.items()}
        return cls({adapter.name: adapter for adapter in by_channel.values()}, routes, {})
