"""The door of the preference service, for the other services.

Beside the questions over HTTP it lets two pure things out: `link_builder` for the links in messages, and `state`, how
events change preferences, for simulations.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import httpx
import msgspec

from schemas.facts import Positions, Preference, PreferenceQuestion
from schemas.recorded import KnownPreference, PreferencesBetween
from schemas.times import Instant
from services.kit.http import internal_api
from services.preference.link_tokens import Links, link_builder

__all__ = ["Links", "PastQuestion", "PreferenceClient", "link_builder"]

NOTHING_KNOWN: Mapping[str, Preference] = MappingProxyType({})
FACTS = "/internal/preference/facts"
FACTS_AT = "/internal/preference/facts-at"
RECORDED = "/internal/preference/recorded"
TOPICS = "/internal/preference/topics"
PATIENCE = 30.0
"""Seconds for an answer that nobody waits for."""


class PastQuestion(msgspec.Struct, frozen=True):
    """What was known of a customer `at` an instant, or at a `version`; one of the two is given."""

    customer: str
    at: Instant | None = None
    version: int | None = None


class PreferenceClient:
    """Asks over HTTP, or in process through an ASGI transport. Raises Transient and Permanent: see kit/door.py."""

    def __init__(self, client: httpx.AsyncClient, service_key: str) -> None:
        """`client` knows the base URL."""
        self._client = client
        self._key = service_key

    async def facts(
        self, customers: Sequence[str], positions: Positions, known: Mapping[str, Preference] = NOTHING_KNOWN
    ) -> dict[str, Preference]:
        """What these customers chose, once the log has been applied up to the positions; unknown ones: version 0.

        `known`: earlier answers, which are not repeated over the wire where they still hold.
        """
        versions = tuple(known[name].version if name in known else -1 for name in customers) if known else ()
        question = PreferenceQuestion(tuple(customers), positions, versions)
        answers = await internal_api.ask(self._client, FACTS, question, list[Preference], key=self._key)
        fresh = {preference.customer: preference for preference in answers}
        return {name: fresh[name] if name in fresh else known[name] for name in customers}

    async def facts_at(self, customer: str, *, at: Instant | None = None, version: int | None = None) -> Preference:
        """What the customer had chosen as we knew it at an instant of the past, or at a version of it."""
        return await internal_api.ask(
            self._client, FACTS_AT, PastQuestion(customer, at, version), Preference, key=self._key
        )

    async def recorded(
        self, customers: Sequence[str], since: Instant, until: Instant
    ) -> dict[str, tuple[KnownPreference, ...]]:
        """What these customers had chosen as of `since`, and after each change until `until`."""
        question, form = PreferencesBetween(tuple(customers), since, until), list[tuple[KnownPreference, ...]]
        answers = await internal_api.ask(self._client, RECORDED, question, form, key=self._key, timeout=PATIENCE)
        return dict(zip(customers, answers, strict=True))

    async def set_topics(self, policy_version: int, topics: Sequence[Mapping[str, Any]]) -> None:
        """Hand over the topics of the policy that becomes active: `{key, name, required}` each."""
        question = {"policy_version": policy_version, "topics": list(topics)}
        await internal_api.ask(self._client, TOPICS, question, dict[str, int], key=self._key)
