"""What every role of the orchestrator is made of."""

from collections.abc import Mapping
from functools import cached_property

from services.kit.clock import Clock
from services.kit.db import Database
from services.kit.fence import Nudge
from services.kit.metrics import Registry
from services.kit.settings import ServiceSettings
from services.orchestrator.catalogue.snapshot import Snapshot
from services.orchestrator.delivery.adapters import Adapter
from services.orchestrator.delivery.configured import adapters_of
from services.orchestrator.delivery.deadline import Handovers, KernelAlarm
from services.orchestrator.delivery.gate import Gate
from services.orchestrator.delivery.handover import Handover, Limits
from services.orchestrator.gather import Gatherer
from services.orchestrator.metrics import Metrics
from services.orchestrator.recorded import Recorder
from services.orchestrator.render import Renderer
from services.orchestrator.shadow.series import ShadowSeries
from services.orchestrator.shadow.shadow import Shadow
from services.preference.client import PreferenceClient, link_builder
from services.suppression.client import SuppressionClient


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
