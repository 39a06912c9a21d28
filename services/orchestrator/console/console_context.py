"""What all console pages work with."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec

from schemas.agent_api import ChangeAnswer, ChangePreferencesRequest, ChangeSituationRequest, ListedSituations
from schemas.facts import Preference
from schemas.roles import is_allowed
from schemas.service_api import (
    FoundCustomers,
    HoldRecord,
    LogPositions,
)
from schemas.suppression_list_api import (
    AskRemovalRequest,
    DecideRemovalRequest,
    EntryQuestion,
    ListedEntry,
    ListedImport,
    ListedRemoval,
    RemovalAnswer,
)
from services.kit.bus.protocol import Bus
from services.kit.db.database import Database
from services.kit.errors import TactfulError
from services.kit.http.audit_trail import RequestAudit
from services.kit.http.auth import KeyRing, Principal
from services.kit.http.sessions import SessionStore
from services.kit.observability.health import Health
from services.kit.observability.metrics import Registry
from services.kit.runtime.clock import Clock
from services.orchestrator.agent_messages.agent_messages import AgentMessages
from services.orchestrator.campaigns.snapshot import CatalogueSnapshot
from services.orchestrator.console.text_cutting import cut_text
from services.orchestrator.console.time_format import WallClock
from services.orchestrator.dead_letters.directory import DeadLetterDirectory
from services.orchestrator.decisions.facts_reader import FactsReader, PreferenceApi, SuppressionApi
from services.orchestrator.delivery.adapters.installed import Adapters
from services.orchestrator.delivery.channels.costs import CostEstimator
from services.orchestrator.delivery.receipts.reply_decisions import ReplyDecisions
from services.orchestrator.erasure.proof import ErasureProofs
from services.orchestrator.explain.explainer import Explainer
from services.orchestrator.explain.timeline import load_facts
from services.orchestrator.holds.lift_plan import HoldPlanner
from services.orchestrator.policy.customer_facts import Facts
from services.orchestrator.policy.match import Catalogue
from services.orchestrator.policy.time_zones import load_zone
from services.orchestrator.settings import OrchestratorSettings
from services.orchestrator.sign_in.provider_sign_in import ProviderSignIn

MAX_NAMES = 200
NAMES = "customers:read"
"""The action that lets a role see customers' names, preferences and situations."""
_MAX_NAME_LENGTH = 60


class CustomerSearchApi(PreferenceApi, Protocol):
    """What the pages need of preference: services.clients.preference.PreferenceClient."""

    async def get_facts(self, customers: Sequence[str], positions: LogPositions) -> dict[str, Preference]:
        """Facts of each customer; an unknown customer has version 0. Raises Transient."""

    async def find_customers(self, text: str, limit: int = ...) -> FoundCustomers:
        """Customers with a name that begins so, or with this address. Raises Transient."""

    async def change_preferences(self, request: ChangePreferencesRequest) -> ChangeAnswer:
        """Change what a customer has chosen, by the hand of a person. Raises Transient."""


class HoldRecordsApi(SuppressionApi, Protocol):
    """What the pages need of suppression: services.clients.suppression.SuppressionClient."""

    async def get_hold_records(self, key: str | None = None, limit: int = 50) -> Sequence[HoldRecord]:
        """The holds that were placed last, newest first; with a key, only those under it. Raises Transient."""

    async def find_entries(self, question: EntryQuestion) -> Sequence[ListedEntry]:
        """The live do-not-contact entries of an address. Raises Transient."""

    async def list_imports(self) -> Sequence[ListedImport]:
        """The newest imports of entries. Raises Transient."""

    async def list_removals(self) -> Sequence[ListedRemoval]:
        """The newest removal requests that nobody has decided. Raises Transient."""

    async def ask_removal(self, request: AskRemovalRequest) -> RemovalAnswer:
        """Ask for the removal of an entry. Raises Transient."""

    async def decide_removal(self, request: DecideRemovalRequest) -> RemovalAnswer:
        """Approve or decline a removal request. Raises Transient."""

    async def read_situations(self, customer: str) -> ListedSituations:
        """The situations of a customer, with their history. Raises Transient."""

    async def change_situation(self, request: ChangeSituationRequest) -> ChangeAnswer:
        """Open, close or correct a situation, by the hand of a person. Raises Transient."""

    async def lift_hold(self, key: str, lifted_by: str, reason: str | None, rate: int) -> HoldRecord | None:
        """End the hold that stands under this key; the hold as it is then, or None if there never was one."""


@dataclass(frozen=True, slots=True)
class ConsoleContext:
    """Database, clock, clients of the other services, and the functions shared with the API.

    `sandbox`: all adapters are sandboxes, so nothing leaves this installation. `provider_sign_in`: sign-in by the
    company's OpenID provider; None where there is none.
    """

    database: Database
    clock: Clock
    bus: Bus
    topic: str
    snapshot: CatalogueSnapshot
    facts_reader: FactsReader
    preference: CustomerSearchApi
    suppression: HoldRecordsApi
    hold_planner: HoldPlanner
    explainer: Explainer
    letters: DeadLetterDirectory
    sessions: SessionStore
    audit: RequestAudit
    key_ring: KeyRing
    health: Health
    registry: Registry
    costs: CostEstimator
    settings: OrchestratorSettings
    adapters: Adapters
    reply_decisions: ReplyDecisions
    erasures: ErasureProofs
    sandbox: bool
    agent_messages: AgentMessages
    provider_sign_in: ProviderSignIn | None = None

    async def get_catalogue(self) -> Catalogue:
        """Returns campaigns and policy as of now."""
        async with self.database.read() as tx:
            return await self.snapshot.get_catalogue(tx)

    async def get_wall_clock(self) -> WallClock:
        """Returns the organisation's wall clock."""
        return WallClock((await self.get_catalogue()).policy.zone, self.clock.now())

    def campaign_name(self, key: str) -> str:
        """Returns a campaign's name, or its key if it never ran."""
        launched = self.snapshot.get_launched_campaign(key)
        return key if launched is None else launched.document.name

    async def get_preferences(self, customers: Sequence[str]) -> dict[str, Preference]:
        """Returns the preferences of these customers; nothing while preference does not answer."""
        unique_customers = list(dict.fromkeys(customers))[:MAX_NAMES]
        if not unique_customers:
            return {}
        try:
            return await self.preference.get_facts(unique_customers, {})
        except TactfulError:
            return {}

    async def load_facts(self, customer: str) -> Facts:
        """Reads the facts about one customer. Raises Transient."""
        return await load_facts(self.database, self.snapshot, self.facts_reader, customer)


def customer_name(preference: Preference | None) -> str | None:
    """Returns the customer's given name if their traits have one. Never an address."""
    if preference is None:
        return None
    traits: Any = msgspec.json.decode(preference.traits)
    name = traits.get("name") if isinstance(traits, dict) else None
    return cut_text(name, _MAX_NAME_LENGTH) if isinstance(name, str) and name.strip() and "@" not in name else None


def customer_clock(preference: Preference | None, organisation: WallClock) -> WallClock:
    """Returns the wall clock of the customer's zone, or the organisation's if their zone is unknown."""
    zone = None if preference is None else load_zone(preference.zone)
    return organisation if zone is None else WallClock(zone, organisation.now, "the customer")


def may_see_names(principal: Principal) -> bool:
    """Whether this person may see customers' names."""
    return is_allowed(principal.role, NAMES)
