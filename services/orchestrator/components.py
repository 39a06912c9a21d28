"""What every role of the orchestrator is made of."""

from collections.abc import Mapping
from functools import cached_property

from services.clients.preference import PreferenceClient, link_builder
from services.clients.suppression import SuppressionClient
from services.kit.bus.fence import Nudge
from services.kit.db.database import Database
from services.kit.observability.metrics import Registry
from services.kit.runtime.clock import Clock
from services.kit.runtime.settings import ServiceSettings
from services.orchestrator.campaigns.snapshot import Snapshot
from services.orchestrator.decisions.facts_reader import Gatherer
from services.orchestrator.delivery.adapter_setup import adapters_of
from services.orchestrator.delivery.adapters import Adapter
from services.orchestrator.delivery.deadline import Handovers, KernelAlarm
from services.orchestrator.delivery.recheck_stage import Gate
from services.orchestrator.delivery.rendering import Renderer
from services.orchestrator.delivery.sender import Handover, Limits
from services.orchestrator.insight.history_reader import Recorder
from services.orchestrator.insight.shadow.recorder import Shadow
from services.orchestrator.insight.shadow.shadow_series import ShadowSeries
from services.orchestrator.metrics import Metrics


class Parts:
    """What every role is made of."""

    def __init__(
        self,
        settings: ServiceSettings,
        database: Database,
        clock: Clock,
        preference: PreferenceClient,
        suppression: SuppressionClient,
        registry: Registry,
    ) -> None:
        key = settings.need("address_key").encode()
        self.adapters: Mapping[str, Adapter] = adapters_of(settings, database, clock)
        self.snapshot: Snapshot = Snapshot(frozenset(self.adapters))
        self.gatherer = Gatherer(preference, suppression, key)
        self.recorder = Recorder(preference, suppression, key)
        self.links = link_builder(settings.need("address_key"), settings.web.public_url)
        self.registry = registry
        self.metrics = Metrics(registry, clock)
        self.renderer = Renderer(self.snapshot, self.links, self.metrics.rendered)
        self.shadow = Shadow(Renderer(self.snapshot, self.links).render, ShadowSeries(registry))
        self.ready = Nudge()
        """Told when there is something to hand over."""
        self.applied = Nudge()
        """Told when events have been decided."""
        self.key = key
        self._settings, self._database, self._clock = settings, database, clock

    @cached_property
    def handover(self) -> Handover:
        """How marked messages come to their end; one for all that this process marks."""
        limits = Limits(self._settings.dispatch.deadline, self._settings.dispatch.slack)
        topics = [self._settings.kafka.events_topic]
        gate = Gate(self._database, self.snapshot, self.gatherer, self.renderer, self._clock, topics)
        alarms = Handovers(KernelAlarm(), limits.slack)
        return Handover(self._database, gate, self.adapters, alarms, limits, self._clock, self.metrics)
