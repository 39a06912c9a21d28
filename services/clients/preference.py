"""HTTP client of the preference service, for the orchestrator."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import httpx

from schemas.agent_api import CHANGE_PREFERENCES_PATH, ChangeAnswer, ChangePreferencesRequest
from schemas.erasures import ErasureProgress
from schemas.facts import Preference
from schemas.recorded import PreferenceSnapshot
from schemas.service_api import (
    FIND_CUSTOMERS_PATH,
    PREFERENCE_CHANGES_PATH,
    PREFERENCE_ERASURES_PATH,
    PREFERENCE_EXPORT_PATH,
    PREFERENCE_FACTS_AT_PATH,
    PREFERENCE_FACTS_PATH,
    PREFERENCE_RECORDED_PATH,
    TOPICS_PATH,
    CustomerSearch,
    ErasuresRequest,
    FoundCustomers,
    LogPositions,
    PastPreferenceRequest,
    PreferenceHistoryRequest,
    PreferenceRequest,
    PreferenceResponse,
)
from schemas.subject_export import ExportPage, ExportRequest
from schemas.times import Instant
from services.clients.changes import ChangedKeys, ask_for_changes, earliest
from services.clients.dead_letters import DeadLetterClient
from services.clients.facts_endpoints import FactsApi, FactsInProcess, FactsOverHttp
from services.kit.db.recent_changes import ChangePosition
from services.kit.errors import Permanent, TooLarge
from services.kit.http import internal_api

NO_PREFERENCES: Mapping[str, Preference] = MappingProxyType({})
CHANGE_TIMEOUT = 15.0
"""Seconds for a change, whose answer waits until what it forbids is not being sent any more."""
HISTORY_TIMEOUT = 30.0
"""Seconds for histories of many customers, which audits and simulations ask for in the background."""


PreferenceFactsApi = FactsApi[PreferenceRequest, PreferenceResponse | list[Preference]]
"""A list is what a service of an earlier version answers."""
_FACTS_FORM: Any = PreferenceResponse | list[Preference]


class PreferencesRead(NamedTuple):
    """Facts by customer, and since when to ask for changes of them; None: do not."""

    facts: dict[str, Preference]
    position: ChangePosition | None


class PreferenceClient:
    """Calls over HTTP, or in process through an ASGI transport.

    Every method raises Transient when the service cannot answer now, Permanent when it refuses: see
    services/kit/http/internal_api.py.
    """

    def __init__(self, http: httpx.AsyncClient, service_key: str, in_process: PreferenceFactsApi | None = None) -> None:
        """`http` has the base URL. `in_process`: the service itself, where it is in this process."""
        self._http = http
        self._facts: PreferenceFactsApi = (
            FactsOverHttp(http, service_key, PREFERENCE_FACTS_PATH, PREFERENCE_CHANGES_PATH, _FACTS_FORM)
            if in_process is None
            else FactsInProcess(in_process)
        )
        self._service_key = service_key
        self.dead_letters = DeadLetterClient(http, service_key, "preference")

    async def get_facts(
        self, customers: Sequence[str], positions: LogPositions, known: Mapping[str, Preference] = NO_PREFERENCES
    ) -> dict[str, Preference]:
        """The preferences of these customers, read once the log has been applied up to `positions`.

        A customer of whom nothing is known has version 0. `known` holds earlier answers: those that are still current
        are not sent again.
        """
        return (await self.get_facts_and_position(customers, positions, known)).facts

    async def get_facts_and_position(
        self, customers: Sequence[str], positions: LogPositions, known: Mapping[str, Preference] = NO_PREFERENCES
    ) -> "PreferencesRead":
        """As `get_facts`; also since when to ask for changes.

        They are asked for in halves where they are too large for one answer.
        """
        versions = tuple(known[name].version if name in known else -1 for name in customers) if known else ()
        request = PreferenceRequest(tuple(customers), positions, versions, with_position=True)
        try:
            response = await self._facts.answer_facts(request)
        except Permanent as error:
            if error.code != TooLarge.default_code or len(customers) < 2:
                raise
            middle = len(customers) // 2
            first = await self.get_facts_and_position(customers[:middle], positions, known)
            rest = await self.get_facts_and_position(customers[middle:], positions, known)
            return PreferencesRead(first.facts | rest.facts, earliest([first.position, rest.position]))
        answer = PreferenceResponse(tuple(response)) if isinstance(response, list) else response
        updated = {preference.customer: preference for preference in answer.customers}
        facts = {name: updated[name] if name in updated else known[name] for name in customers}
        return PreferencesRead(facts, answer.position)

    async def find_changed_keys(self, positions: LogPositions, since: ChangePosition) -> ChangedKeys:
        """Which customers' facts have changed since then: see `ask_for_changes`."""
        return await ask_for_changes(self._facts, positions, since)

    async def get_facts_at(self, customer: str, *, at: Instant | None = None, version: int | None = None) -> Preference:
        """The customer's preferences as they were known at an instant of the past, or at a version."""
        request = PastPreferenceRequest(customer, at, version)
        return await internal_api.call(self._http, PREFERENCE_FACTS_AT_PATH, request, Preference, key=self._service_key)

    async def read_recorded(
        self, customers: Sequence[str], since: Instant, until: Instant
    ) -> dict[str, tuple[PreferenceSnapshot, ...]]:
        """The preferences of these customers as of `since`, and after each change until `until`."""
        request = PreferenceHistoryRequest(tuple(customers), since, until)
        histories = await internal_api.call(
            self._http,
            PREFERENCE_RECORDED_PATH,
            request,
            list[tuple[PreferenceSnapshot, ...]],
            key=self._service_key,
            timeout=HISTORY_TIMEOUT,
        )
        return dict(zip(customers, histories, strict=True))

    async def change_preferences(self, request: ChangePreferencesRequest) -> ChangeAnswer:
        """Change what a customer has chosen, by the hand of a person."""
        return await internal_api.call(
            self._http, CHANGE_PREFERENCES_PATH, request, ChangeAnswer, key=self._service_key, timeout=CHANGE_TIMEOUT
        )

    async def find_customers(self, text: str, limit: int = 20) -> FoundCustomers:
        """Customers with a name that begins so, or with this address."""
        return await internal_api.call(
            self._http, FIND_CUSTOMERS_PATH, CustomerSearch(text, limit), FoundCustomers, key=self._service_key
        )

    async def read_export(self, request: ExportRequest) -> ExportPage:
        """A page of what this service knows of a customer."""
        return await internal_api.call(
            self._http, PREFERENCE_EXPORT_PATH, request, ExportPage, key=self._service_key, timeout=HISTORY_TIMEOUT
        )

    async def get_erasures(self, pseudonyms: Sequence[str], positions: LogPositions) -> tuple[ErasureProgress, ...]:
        """How far the erasures of these customers are, once the log has been applied up to `positions`."""
        request = ErasuresRequest(tuple(pseudonyms), positions)
        return await internal_api.call(
            self._http, PREFERENCE_ERASURES_PATH, request, tuple[ErasureProgress, ...], key=self._service_key
        )

    async def set_topics(self, policy_version: int, topics: Sequence[Mapping[str, Any]]) -> None:
        """Send the topics of the policy that is about to become active: `{key, name, required}` each."""
        payload = {"policy_version": policy_version, "topics": list(topics)}
        await internal_api.call(self._http, TOPICS_PATH, payload, dict[str, int], key=self._service_key)
