"""HTTP client of the preference service, for the orchestrator."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import httpx

from schemas.facts import Preference
from schemas.recorded import PreferenceSnapshot
from schemas.service_api import (
    FIND_CUSTOMERS_PATH,
    PREFERENCE_ERASURES_PATH,
    PREFERENCE_FACTS_AT_PATH,
    PREFERENCE_FACTS_PATH,
    PREFERENCE_RECORDED_PATH,
    TOPICS_PATH,
    CustomerSearch,
    ErasureProgress,
    ErasuresRequest,
    FoundCustomers,
    LogPositions,
    PastPreferenceRequest,
    PreferenceHistoryRequest,
    PreferenceRequest,
)
from schemas.times import Instant
from services.clients.dead_letters import DeadLetterClient
from services.kit.errors import Permanent, TooLarge
from services.kit.http import internal_api

NO_PREFERENCES: Mapping[str, Preference] = MappingProxyType({})
HISTORY_TIMEOUT = 30.0
"""Seconds for histories of many customers, which audits and simulations ask for in the background."""


class PreferenceClient:
    """Calls over HTTP, or in process through an ASGI transport.

    Every method raises Transient when the service cannot answer now, Permanent when it refuses: see
    services/kit/http/internal_api.py.
    """

    def __init__(self, http: httpx.AsyncClient, service_key: str) -> None:
        """`http` has the base URL."""
        self._http = http
        self._service_key = service_key
        self.dead_letters = DeadLetterClient(http, service_key, "preference")

    async def get_facts(
        self, customers: Sequence[str], positions: LogPositions, known: Mapping[str, Preference] = NO_PREFERENCES
    ) -> dict[str, Preference]:
        """The preferences of these customers, read once the log has been applied up to `positions`.

        They are asked for in halves where they are too large for one answer. A customer of whom nothing is known has
        version 0. `known` holds earlier answers: those that are still current are not sent again.
        """
        versions = tuple(known[name].version if name in known else -1 for name in customers) if known else ()
        request = PreferenceRequest(tuple(customers), positions, versions)
        try:
            responses = await internal_api.call(
                self._http, PREFERENCE_FACTS_PATH, request, list[Preference], key=self._service_key
            )
        except Permanent as error:
            if error.code != TooLarge.default_code or len(customers) < 2:
                raise
            middle = len(customers) // 2
            return await self.get_facts(customers[:middle], positions, known) | await self.get_facts(
                customers[middle:], positions, known
            )
        updated = {preference.customer: preference for preference in responses}
        return {name: updated[name] if name in updated else known[name] for name in customers}

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

    async def find_customers(self, text: str, limit: int = 20) -> FoundCustomers:
        """Customers with a name that begins so, or with this address."""
        return await internal_api.call(
            self._http, FIND_CUSTOMERS_PATH, CustomerSearch(text, limit), FoundCustomers, key=self._service_key
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
