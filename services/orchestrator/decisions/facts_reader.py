"""Reads facts about customers from preference and suppression, and freezes them into `Facts` for an evaluation.

Preference is asked first; suppression then gets the customers and the keyed hashes of their addresses. Each is one
call for a whole batch. Both answer only once their databases have applied the log up to the given positions.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Protocol

from schemas.facts import HoldFact, Preference, Suppressions
from schemas.service_api import CustomerAddressHashes, LogPositions, PastSuppressions, SuppressionResponse
from schemas.times import Instant
from services.clients.address_hashes import AddressHasher
from services.kit.bus.protocol import Partition
from services.kit.errors import Permanent, Transient
from services.kit.runtime.loop_share import LoopShare
from services.orchestrator.policy.customer_facts import Facts
from services.orchestrator.policy.match import Catalogue


class FactsRefused(Transient):
    """Another service refused to tell facts."""

    default_code = "facts_refused"


class PreferenceApi(Protocol):
    """What the facts reader needs of preference: services.clients.preference.PreferenceClient."""

    async def get_facts(
        self, customers: Sequence[str], positions: LogPositions, known: Mapping[str, Preference] = ...
    ) -> dict[str, Preference]:
        """Facts of each customer; an unknown customer has version 0. Raises Transient."""

    async def get_facts_at(self, customer: str, *, at: Instant | None = None, version: int | None = None) -> Preference:
        """Facts as they were known at an instant of the past, or at a version. Raises Transient."""


class SuppressionApi(Protocol):
    """What the facts reader needs of suppression: services.clients.suppression.SuppressionClient."""

    async def get_facts(
        self, queries: Sequence[CustomerAddressHashes], positions: LogPositions, known: Mapping[str, Suppressions] = ...
    ) -> SuppressionResponse:
        """Facts in the order of the queries, and the holds on everybody. Raises Transient."""

    async def get_facts_at(self, queries: CustomerAddressHashes, since: Instant, until: Instant) -> PastSuppressions:
        """Facts as they were known at `since`, and after each change until `until`. Raises Transient."""

    async def get_holds(self) -> Sequence[HoldFact]:
        """The holds on everybody that are in force or still to come. Raises Transient."""


MAX_QUESTION = 250
"""Customers asked about at once: to ask and to answer keeps three processes busy, each for some milliseconds."""
MAX_ADDRESSES = 500
"""Addresses asked about at once, with at most nine spellings each: a customer may have a hundred, and the question of
many such customers would be larger than a request may be.
"""
NO_KNOWN_FACTS: Mapping[str, Facts] = MappingProxyType({})


def positions_by_topic(positions: Mapping[Partition, int]) -> LogPositions:
    """Log positions in the form that goes over the wire."""
    result: LogPositions = {}
    for (topic, partition), offset in positions.items():
        result.setdefault(topic, {})[partition] = offset
    return result


class FactsReader:
    """Reads facts from both services."""

    def __init__(
        self, preference: PreferenceApi, suppression: SuppressionApi, hasher: AddressHasher, topics: Collection[str]
    ) -> None:
        """`topics`: those that all services read. Positions in others, which our database still has when the setting
        has changed, say nothing to the two services.
        """
        self._topics = frozenset(topics)
        self._preference = preference
        self._suppression = suppression
        self._hasher = hasher
        self._with_spellings = True
        self._loop_share = LoopShare()

    async def read_facts(
        self,
        customers: Sequence[str],
        catalogue: Catalogue,
        positions: Mapping[Partition, int],
        known: Mapping[str, Facts] = NO_KNOWN_FACTS,
    ) -> dict[str, Facts]:
        """Facts of each customer, no older than the positions. Only changes are asked for of those in `known`.

        Raises Transient whenever facts cannot be read, whatever the cause: missing facts are no verdict, so what
        waits for them is neither decided nor lost.
        """
        found: dict[str, Facts] = {}
        for start in range(0, len(customers), MAX_QUESTION):
            found |= await self._ask(customers[start : start + MAX_QUESTION], catalogue, positions, known)
        return found

    async def _ask(
        self,
        customers: Sequence[str],
        catalogue: Catalogue,
        positions: Mapping[Partition, int],
        known: Mapping[str, Facts],
    ) -> dict[str, Facts]:
        read_here = {partition: offset for partition, offset in positions.items() if partition[0] in self._topics}
        sent_positions = positions_by_topic(read_here)
        try:
            preferences = await self._preference.get_facts(
                customers, sent_positions, {name: known[name].preference for name in customers if name in known}
            )
            answer = await self._read_suppressions(
                [preferences[customer] for customer in customers],
                sent_positions,
                {name: known[name].suppressions for name in customers if name in known},
            )
        except Permanent as error:
            raise FactsRefused(f"facts are refused: {error.detail}", retry_after=5.0) from error
        # Holds are compared once for all customers who were asked about together before: they may name hundreds.
        same_holds = {id(each.holds): each.holds for each in known.values()}
        same_holds = {key: holds for key, holds in same_holds.items() if holds == answer.holds}
        return {
            suppressions.customer: _reuse_or_build_facts(
                preferences[suppressions.customer], suppressions, answer.holds, catalogue, known, same_holds
            )
            for suppressions in answer.customers
        }

    async def read_past_facts(
        self, customer: str, since: Instant, until: Instant, version: int | None = None
    ) -> tuple[Preference, PastSuppressions]:
        """The facts that were known about a customer between two instants of the past.

        Preferences are those of `version`, or else of `until`. Raises Transient.
        """
        try:
            preference = await self._preference.get_facts_at(
                customer, at=until if version is None else None, version=version
            )
            query = self._hasher.query(customer, preference.addresses, with_spellings=True)
            return preference, await self._suppression.get_facts_at(query, since, until)
        except Permanent as error:
            raise FactsRefused(f"facts are refused: {error.detail}", retry_after=5.0) from error

    async def _read_suppressions(
        self, preferences: Sequence[Preference], positions: LogPositions, known: Mapping[str, Suppressions]
    ) -> SuppressionResponse:
        """Asks in portions; the holds are those of the last answer."""
        found: list[Suppressions] = []
        holds: tuple[HoldFact, ...] = ()
        for portion in _in_portions(preferences):
            answer = await self._ask_suppression(portion, positions, known)
            found += answer.customers
            holds = answer.holds
        return SuppressionResponse(tuple(found), holds)

    async def _ask_suppression(
        self, preferences: Sequence[Preference], positions: LogPositions, known: Mapping[str, Suppressions]
    ) -> SuppressionResponse:
        """Asks for other spellings of the addresses as long as suppression needs them: they make requests larger."""
        while True:
            with_spellings = self._with_spellings
            queries: list[CustomerAddressHashes] = []
            for each in preferences:
                await self._loop_share.give_turn_if_due()  # a hundred addresses and their spellings take 9 ms to hash
                queries.append(self._hasher.query(each.customer, each.addresses, with_spellings=with_spellings))
            answer = await self._suppression.get_facts(queries, positions, known)
            self._with_spellings = answer.needs_spellings
            if with_spellings or not answer.needs_spellings:
                return answer


def _in_portions(preferences: Sequence[Preference]) -> Iterator[list[Preference]]:
    portion: list[Preference] = []
    addresses = 0
    for each in preferences:
        addresses += len(each.addresses)
        if portion and addresses > MAX_ADDRESSES:
            yield portion
            portion, addresses = [], len(each.addresses)
        portion.append(each)
    if portion:
        yield portion


def _reuse_or_build_facts(
    preference: Preference,
    suppressions: Suppressions,
    holds: tuple[HoldFact, ...],
    catalogue: Catalogue,
    known: Mapping[str, Facts],
    same_holds: Collection[int],
) -> Facts:
    """The known facts where nothing has changed, with everything that was derived from them; else new facts.

    `same_holds`: the identities of known tuples of holds that equal `holds`.
    """
    previous = known.get(suppressions.customer)
    if (
        previous is not None
        and previous.preference is preference
        and previous.suppressions is suppressions
        and previous.policy is catalogue.policy
        and previous.configured_channels is catalogue.configured_channels
        and id(previous.holds) in same_holds
    ):
        return previous
    return Facts(preference, suppressions, holds, catalogue.policy, catalogue.configured_channels)
