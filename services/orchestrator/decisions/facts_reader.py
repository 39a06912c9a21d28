"""What a judgement may know: fresh facts from preference and suppression, frozen into `Facts`.

Preference is asked first; suppression then gets the customers and the keyed hashes of their addresses. Each is one
call for a whole batch. Both answer only when their databases have applied the log up to the given positions.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType
from typing import Protocol

from schemas.facts import Asked, HoldFact, Positions, Preference, SuppressionAnswer, Suppressions
from schemas.ids import address_hasher
from schemas.times import Instant
from services.clients.suppression import PastAnswer
from services.kit.bus.protocol import Partition
from services.kit.errors import Permanent, Transient
from services.orchestrator.policy.customer_facts import Facts
from services.orchestrator.policy.match import Catalogue


class PreferenceDoor(Protocol):
    """What preference answers: services.clients.preference.PreferenceClient."""

    async def facts(
        self, customers: Sequence[str], positions: Positions, known: Mapping[str, Preference] = ...
    ) -> dict[str, Preference]:
        """Facts of each customer asked about; an unknown one has version 0. Raises Transient."""

    async def facts_at(self, customer: str, *, at: Instant | None = None, version: int | None = None) -> Preference:
        """Facts as they were known at an instant of the past, or at a version. Raises Transient."""


class SuppressionDoor(Protocol):
    """What suppression answers: services.clients.suppression.SuppressionClient."""

    async def facts(
        self, asked: Sequence[Asked], positions: Positions, known: Mapping[str, Suppressions] = ...
    ) -> SuppressionAnswer:
        """Facts in the order asked, and everybody's holds. Raises Transient."""

    async def facts_at(self, asked: Asked, since: Instant, until: Instant) -> PastAnswer:
        """Facts as they were known at `since`, and after each change until `until`. Raises Transient."""

    async def holds(self) -> Sequence[HoldFact]:
        """Everybody's holds, live or to come. Raises Transient."""


HASHES = 16_384
"""Keyed hashes of addresses that are kept: a message's are asked for when it is decided and again at the gate."""
NOTHING_KNOWN: Mapping[str, Facts] = MappingProxyType({})


def wire(positions: Mapping[Partition, int]) -> Positions:
    """Log positions in the form that travels."""
    result: Positions = {}
    for (topic, partition), offset in positions.items():
        result.setdefault(topic, {})[partition] = offset
    return result


class Gatherer:
    """Asks both services and freezes their answers."""

    def __init__(self, preference: PreferenceDoor, suppression: SuppressionDoor, address_key: bytes) -> None:
        self._preference = preference
        self._suppression = suppression
        self._hash = lru_cache(maxsize=HASHES)(address_hasher(address_key))

    async def facts(
        self,
        customers: Sequence[str],
        catalogue: Catalogue,
        positions: Mapping[Partition, int],
        known: Mapping[str, Facts] = NOTHING_KNOWN,
    ) -> dict[str, Facts]:
        """Facts of each customer, no older than the positions. `known`: earlier ones, of which only changes are asked.

        Raises Transient when they cannot be had, whatever the cause: facts that are missing are no verdict, so
        what waits for them is neither judged nor lost.
        """
        if not customers:
            return {}
        sent = wire(positions)
        try:
            preferences = await self._preference.facts(
                customers, sent, {name: facts.preference for name, facts in known.items()}
            )
            asked = [self._asked(preferences[customer]) for customer in customers]
            answer = await self._suppression.facts(
                asked, sent, {name: facts.suppressions for name, facts in known.items()}
            )
        except Permanent as error:
            raise Transient(f"facts are refused: {error.detail}", retry_after=5.0, code="facts_refused") from error
        return {
            suppressions.customer: _facts(
                preferences[suppressions.customer], suppressions, answer.holds, catalogue, known
            )
            for suppressions in answer.customers
        }

    async def facts_at(
        self, customer: str, since: Instant, until: Instant, version: int | None = None
    ) -> tuple[Preference, PastAnswer]:
        """What was known of a customer between two instants of the past: facts, which no policy has judged yet.

        Preferences are those of `version`, or else of `until`. Raises Transient.
        """
        try:
            preference = await self._preference.facts_at(
                customer, at=until if version is None else None, version=version
            )
            return preference, await self._suppression.facts_at(self._asked(preference), since, until)
        except Permanent as error:
            raise Transient(f"facts are refused: {error.detail}", retry_after=5.0, code="facts_refused") from error

    def address_hash(self, channel: str, address: str) -> str:
        """The keyed hash under which suppression knows the address."""
        return self._hash(channel, address)

    def _asked(self, preference: Preference) -> Asked:
        hashes = [(item.channel, self._hash(item.channel, item.address)) for item in preference.addresses]
        return Asked(preference.customer, tuple(hashes))


def _facts(
    preference: Preference,
    suppressions: Suppressions,
    holds: tuple[HoldFact, ...],
    catalogue: Catalogue,
    known: Mapping[str, Facts],
) -> Facts:
    """The facts known already where nothing has changed, with all that was derived from them, else new ones."""
    before = known.get(suppressions.customer)
    if (
        before is not None
        and before.preference is preference
        and before.suppressions is suppressions
        and before.policy is catalogue.policy
        and before.configured is catalogue.configured
        and before.holds == holds
    ):
        return before
    return Facts(preference, suppressions, holds, catalogue.policy, catalogue.configured)
