"""The door of the preference service, for the other services.

Beside the questions over HTTP it lets two pure things out: `link_builder` for the links in messages, and `state`, how
events change preferences, for simulations.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import httpx
import msgspec

from schemas.facts import LogPositions, Preference, PreferenceRequest
from schemas.recorded import PreferenceHistoryRequest, PreferenceSnapshot
from schemas.times import Instant
from services.kit.http import internal_api
from services.preference.link_tokens import LinkBuilder, create_link_builder

__all__ = ["LinkBuilder", "PastPreferenceRequest", "PreferenceClient", "create_link_builder"]

NO_PREFERENCES: Mapping[str, Preference] = MappingProxyType({})
FACTS_PATH = "/internal/preference/facts"
FACTS_AT_PATH = "/internal/preference/facts-at"
RECORDED_PATH = "/internal/preference/recorded"
TOPICS_PATH = "/internal/preference/topics"
BACKGROUND_TIMEOUT = 30.0
"""Seconds for an answer that nobody waits for."""


class PastPreferenceRequest(msgspec.Struct, frozen=True):
    """What was known of a customer `at` an instant, or at a `version`; one of the two is given."""

    customer: str
    at: Instant | None = None
    version: int | None = None


class PreferenceClient:
    """Asks over HTTP, or in process through an ASGI transport. Raises Transient and Permanent: see kit/door.py."""

    def __init__(self, client: httpx.AsyncClient, service_key: str) -> None:
        """`client` knows the base URL."""
        self._client = client
        self._service_key = service_key

    async def get_facts(
        self, customers: Sequence[str], positions: LogPositions, known: Mapping[str, Preference] = NO_PREFERENCES
    ) -> dict[str, Preference]:
        """What these customers chose, once the log has been applied up to the positions; unknown ones: version 0.

        `known`: earlier answers, which are not repeated over the wire where they still hold.
        """
        versions = tuple(known[name].version if name in known else -1 for name in customers) if known else ()
        payload = PreferenceRequest(tuple(customers), positions, versions)
        responses = await internal_api.call(self._client, FACTS_PATH, payload, list[Preference], key=self._service_key)
        updated = {preference.customer: preference for preference in responses}
        return {name: updated[name] if name in updated else known[name] for name in customers}

    async def get_facts_at(self, customer: str, *, at: Instant | None = None, version: int | None = None) -> Preference:
        """What the customer had chosen as we knew it at an instant of the past, or at a version of it."""
        return await internal_api.call(
            self._client, FACTS_AT_PATH, PastPreferenceRequest(customer, at, version), Preference, key=self._service_key
        )

    async def read_recorded(
        self, customers: Sequence[str], since: Instant, until: Instant
    ) -> dict[str, tuple[PreferenceSnapshot, ...]]:
        """What these customers had chosen as of `since`, and after each change until `until`."""
        payload, response_type = (
            PreferenceHistoryRequest(tuple(customers), since, until),
            list[tuple[PreferenceSnapshot, ...]],
        )
        responses = await internal_api.call(
            self._client, RECORDED_PATH, payload, response_type, key=self._service_key, timeout=BACKGROUND_TIMEOUT
        )
        return dict(zip(customers, responses, strict=True))

    async def set_topics(self, policy_version: int, topics: Sequence[Mapping[str, Any]]) -> None:
        """Hand over the topics of the policy that becomes active: `{key, name, required}` each."""
        payload = {"policy_version": policy_version, "topics": list(topics)}
        await internal_api.call(self._client, TOPICS_PATH, payload, dict[str, int], key=self._service_key)
