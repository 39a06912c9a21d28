"""The objects that the roles of the orchestrator share."""

from collections.abc import Callable
from functools import cached_property
from typing import Any

from schemas.address_ids import AddressIds
from schemas.link_tokens import create_link_builder, list_page_prefixes
from schemas.topics import OUT_TOPICS
from services.bulk_import.wiring import BulkImport
from services.clients.address_hashes import AddressHasher
from services.clients.preference import PreferenceClient
from services.clients.suppression import SuppressionClient
from services.erasure.erased_customers import ErasedCustomers
from services.erasure.eraser import Eraser
from services.kit.bus.dead_letter_queue import DeadLetterQueue
from services.kit.bus.fence import WakeSignal
from services.kit.bus.topic_publisher import TopicMetrics
from services.kit.db.database import Database
from services.kit.observability.logs import log
from services.kit.observability.metrics import Registry
from services.kit.observability.tracing import start_tracing
from services.kit.runtime.clock import Clock
from services.orchestrator.audit_log.recorder import AuditRecorder
from services.orchestrator.campaigns.snapshot import CatalogueSnapshot
from services.orchestrator.contact_imports.contact_import import ContactRow
from services.orchestrator.contact_imports.contact_wiring import build_contact_import
from services.orchestrator.dead_letters.directory import DeadLetterDirectory
from services.orchestrator.decisions.erasure_intake import ErasureIntake
from services.orchestrator.decisions.evaluator import Evaluator
from services.orchestrator.decisions.facts_reader import FactsReader
from services.orchestrator.decisions.metrics import BacklogMetrics, DecisionMetrics, IngestMetrics
from services.orchestrator.decisions.pipeline import Pipeline
from services.orchestrator.delivery.adapter_secrets import AdapterSecrets
from services.orchestrator.delivery.adapters.definition import Adapter
from services.orchestrator.delivery.adapters.installed import Adapters
from services.orchestrator.delivery.adapters.registry import build_adapters, create_adapter
from services.orchestrator.delivery.channels.completion import ContentCompleter
from services.orchestrator.delivery.deadline import HandoverDeadlines, KernelAlarm
from services.orchestrator.delivery.delivery import Delivery, HandoverLimits
from services.orchestrator.delivery.links.link_tracker import LinkTracker
from services.orchestrator.delivery.links.visit_metrics import VisitMetrics
from services.orchestrator.delivery.links.visit_recorder import VisitRecorder
from services.orchestrator.delivery.metrics import DeliveryMetrics
from services.orchestrator.delivery.receipts.intake import ReceiptIntake
from services.orchestrator.delivery.receipts.metrics import ReceiptMetrics
from services.orchestrator.delivery.rendering import Renderer, SenderReader, read_senders
from services.orchestrator.erasure.erased_stores import ERASED_STORES
from services.orchestrator.erasure.erasure_steps import OrchestratorErasure
from services.orchestrator.holds.release import HoldMetrics
from services.orchestrator.insight.audit.audit_series import AuditMetrics
from services.orchestrator.insight.history_reader import HistoryReader
from services.orchestrator.insight.shadow.recorder import ShadowRecorder
from services.orchestrator.insight.shadow.shadow_series import ShadowMetrics
from services.orchestrator.link_settings import OWN_LINKS
from services.orchestrator.settings import OrchestratorSettings
from services.orchestrator.subject_export.export_runner import ExportRunner
from services.orchestrator.subject_export.export_sections import SECTIONS
from services.subject_export.sections import SectionReader


class Components:
    """What the roles share: resources, clients, and what is built from them once a process."""

    def __init__(
        self,
        settings: OrchestratorSettings,
        database: Database,
        clock: Clock,
        preference: PreferenceClient,
        suppression: SuppressionClient,
        registry: Registry,
    ) -> None:
        address_key = settings.require("address_key").encode()
        self.adapters: Adapters = build_adapters(settings, database, clock)
        self.snapshot: CatalogueSnapshot = CatalogueSnapshot(self.adapters.channels)
        hasher = AddressHasher(address_key, settings.region)
        self.hash_address = hasher.hash_address
        topics = [settings.kafka.events_topic]
        self.facts_reader = FactsReader(preference, suppression, hasher, topics)
        self.recorder = HistoryReader(preference, suppression, hasher)
        self.links = create_link_builder(settings.link_keys(), settings.web.public_url)
        self.settings = settings
        self.database = database
        self.clock = clock
        self.preference = preference
        self.suppression = suppression
        self.registry = registry
        self.tracer = start_tracing(settings.traces, "orchestrator", registry)
        self.ingest_metrics = IngestMetrics(registry)
        self.decision_metrics = DecisionMetrics(registry)
        self.backlog_metrics = BacklogMetrics(registry)
        self.delivery_metrics = DeliveryMetrics(registry, clock, settings.adapter_names)
        self._watch_adapters()
        self.receipt_metrics = ReceiptMetrics(registry, (*settings.adapter_names, OWN_LINKS))
        self.topic_metrics = TopicMetrics(registry, OUT_TOPICS)
        self.receipt_intake = ReceiptIntake(
            database, suppression, clock, self.receipt_metrics, settings.bounces, self.tracer
        )
        self.visits = VisitRecorder(
            database, self.receipt_intake.take, VisitMetrics(registry), settings.tracked_links.machine_seconds
        )
        self.hold_metrics = HoldMetrics(registry)
        self.audit_metrics = AuditMetrics(registry)
        self._build_evaluation(topics)
        self.decided_signal = WakeSignal()
        """Wakes requests that wait for the decisions on an event."""
        self.address_key = address_key
        # Nothing is delivered inline: every role serves the API, but not every role delivers.
        self._build_erasure()
        redriver = Pipeline(self.evaluator, clock, self.decision_metrics, self.shadow, self.erasure_intake)
        self.own_letters = DeadLetterQueue(
            "orchestrator", database, redriver, clock, registry, topics=topics, wake=self.decided_signal
        )
        self.letters = DeadLetterDirectory(
            {
                "orchestrator": self.own_letters,
                "preference": preference.dead_letters,
                "suppression": suppression.dead_letters,
            }
        )
        """The dead letters of all three services."""

    def _build_evaluation(self, topics: list[str]) -> None:
        """What decides and renders, live and in shadow."""
        completer = ContentCompleter(self.settings)
        tracker = LinkTracker(self.settings.tracked_links, list_page_prefixes(self.settings.web.public_url))
        ids = AddressIds(self.settings.require("address_key").encode())
        self.renderer = Renderer(
            self.snapshot, self.links, self.decision_metrics.record_rendering, completer, self.senders, tracker, ids
        )
        self.evaluator = Evaluator(
            self.database,
            self.snapshot,
            self.facts_reader,
            self.renderer.render_message,
            topics,
            self.adapters.gives_receipts,
        )
        shadow_renderer = Renderer(
            self.snapshot, self.links, completer=completer, senders=self.senders, address_ids=ids
        )
        self.shadow = ShadowRecorder(shadow_renderer.render_message, ShadowMetrics(self.registry))

    def _watch_adapters(self) -> None:
        """Remember what the secrets of adapters are, and say which adapters reach listed recipients only."""
        self.adapter_secrets = AdapterSecrets(self.settings, self.registry)
        for name, trial in self.adapters.trials.items():
            log("adapter_in_trial", adapter=name, recipients=len(trial))
            self.delivery_metrics.record_trial(name, len(trial))

    async def look_at_secrets(self, on_taken: Callable[[str], None] = lambda adapter: None) -> None:
        """Take secrets of adapters that have changed."""

        def build_with(name: str, own: Any) -> Adapter:
            return create_adapter(name, own, self.settings, self.database, self.clock)

        await self.adapter_secrets.look(self.adapters.by_name, build_with, on_taken)

    def _build_erasure(self) -> None:
        """Who was erased, the job that removes their rows, and the passing over of their events."""
        self.erased = ErasedCustomers(self.address_key)
        self.eraser = Eraser(
            self.database, OrchestratorErasure(self.erased.pseudonyms, self.clock).steps(), stores=ERASED_STORES
        )
        wake = self.eraser.wake.notify
        self.erasure_intake = ErasureIntake(self.preference, self.suppression, self.erased, wake)
        self.eraser.is_ready = self.erasure_intake.block_addresses_of

    @cached_property
    def contact_import(self) -> BulkImport[ContactRow]:
        """What takes files of past contacts, and applies them."""
        return build_contact_import(
            *(self.database, self.address_key, self.clock, self.registry, self.erased),
            lambda: self.evaluator.batches,
        )

    @cached_property
    def audit_recorder(self) -> AuditRecorder:
        """Writes the audit log of all three services."""
        return AuditRecorder(self.database, self.clock)

    @cached_property
    def exports(self) -> ExportRunner:
        """The job that exports what is known of a customer."""
        services = {
            "preference": self.preference.read_export,
            "suppression": self.suppression.read_export,
            "orchestrator": SectionReader(self.database, SECTIONS).read_page,
        }
        return ExportRunner(self.database, self.clock, services, self._find_address_hashes)

    async def _find_address_hashes(self, customer: str) -> tuple[str, ...]:
        preference = (await self.preference.get_facts([customer], {}))[customer]
        return tuple({self.hash_address(each.channel, each.canonical_form) for each in preference.addresses})

    @cached_property
    def senders(self) -> SenderReader:
        """What templates read of senders."""
        return read_senders(self.settings.mail)

    @property
    def handover_limits(self) -> HandoverLimits:
        """What the settings say of handovers."""
        given = self.settings.dispatch
        return HandoverLimits(given.deadline, given.slack, given.max_duplicates)

    @cached_property
    def delivery(self) -> Delivery:
        """Delivers all messages that this process claims."""
        limits = self.handover_limits
        deadlines = HandoverDeadlines(KernelAlarm(), limits.slack)
        return Delivery(
            *(self.database, self.evaluator, self.adapters, deadlines, limits, self.clock),
            *(self.decision_metrics, self.delivery_metrics, self.tracer),
        )
