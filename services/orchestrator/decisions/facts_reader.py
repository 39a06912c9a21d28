"""Reads facts about customers from preference and suppression, and freezes them into `Facts` for an evaluation.

Preference is asked first; suppression then gets the customers and the keyed hashes of their addresses. Each is one
call for a whole batch. Both answer only once their databases have applied the log up to the given positions.

The recheck has facts already, and nearly always they still hold. So both services are asked first what has changed
since these were read: one question for the whole batch, whose cost does not depend on how many customers it is about.
"""

import asyncio
from collections.abc import Collection, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Protocol

from schemas.facts import HoldFact, Preference, Suppressions
from schemas.service_api import CustomerAddressHashes, LogPositions, PastSuppressions, SuppressionResponse
from schemas.times import Instant
from services.clients.address_hashes import AddressHasher
from services.clients.changes import ChangedKeys, earliest
from services.clients.preference import PreferencesRead
from services.kit.bus.protocol import Partition
from services.kit.db.recent_changes import ChangePosition, change_key
from services.kit.errors import Permanent, Transient
from services.kit.runtime.loop_share import LoopShare
from services.orchestrator.policy.customer_facts import Facts, FactsPosition
from services.orchestrator.policy.match import Catalogue


class FactsRefused(Transient):
    """Another service refused to tell facts."""

    default_code = "facts_refused"


class PreferenceApi(Protocol):
    """What the facts reader needs of preference: services.clients.preference.PreferenceClient."""

    async def get_facts_and_position(
        self, customers: Sequence[str], positions: LogPositions, known: Mapping[str, Preference] = ...
    ) -> PreferencesRead:
        """Facts of each customer; an unknown customer has version 0. Raises Transient."""

    async def find_changed_keys(self, positions: LogPositions, since: ChangePosition) -> ChangedKeys:
        """The customers whose facts may have changed since then; None: anybody's may. Raises Transient."""

    async def get_facts_at(self, customer: str, *, at: Instant | None = None, version: int | None = None) -> Preference:
        """Facts as they were known at an instant of the past, or at a version. Raises Transient."""


class SuppressionApi(Protocol):
    """What the facts reader needs of suppression: services.clients.suppression.SuppressionClient."""

    async def get_facts(
        self, queries: Sequence[CustomerAddressHashes], positions: LogPositions, known: Mapping[str, Suppressions] = ...
    ) -> SuppressionResponse:
        """Facts in the order of the queries, and the holds on everybody. Raises Transient."""

    async def find_changed_keys(self, positions: LogPositions, since: ChangePosition) -> ChangedKeys:
        """The customers and hashes of addresses whose facts may have changed since then; None: any may, or holds.
        Raises Transient.
        """

    async def get_facts_at(self, queries: CustomerAddressHashes, since: Instant, until: Instant) -> PastSuppressions:
        """Facts as they were known at `since`, and after each change until `until`. Raises Transient."""

    async def get_holds(self) -> Sequence[HoldFact]:
        """The holds on everybody that are in force or still to come. Raises Transient."""


MAX_QUESTION = 500
"""Customers asked about at once: to ask and to answer keeps three processes busy, each for some milliseconds. Half as
many cost a seventh more for each.
"""
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
        sent_positions = positions_by_topic({key: value for key, value in positions.items() if key[0] in self._topics})
        asked = [known[customer] for customer in customers if customer in known]
        found = {
            each.preference.customer: _with_catalogue(each, catalogue)
            for each in await self._find_unchanged(asked, sent_positions)
        }
        to_ask = [customer for customer in customers if customer not in found]
        for start in range(0, len(to_ask), MAX_QUESTION):
            found |= await self._ask(to_ask[start : start + MAX_QUESTION], catalogue, sent_positions, known)
        return found

    async def _find_unchanged(self, known: Sequence[Facts], positions: LogPositions) -> list[Facts]:
        """Those of the facts that certainly still hold. Raises Transient."""
        read_at = {each.position for each in known}
        preference = earliest(None if each is None else each.preference for each in read_at)
        suppression = earliest(None if each is None else each.suppression for each in read_at)
        if preference is None or suppression is None:
            return []
        changed, suppressed = await asyncio.gather(
            self._preference.find_changed_keys(positions, preference),
            self._suppression.find_changed_keys(positions, suppression),
        )
        if changed is None or suppressed is None:
            return []
        if not changed and not suppressed:
            return list(known)
        unchanged: list[Facts] = []
        changed_customers = changed | suppressed  # once: they may be a hundred thousand
        for each in known:
            await self._loop_share.give_turn_if_due()
            if change_key(each.preference.customer) not in changed_customers and (
                not suppressed or suppressed.isdisjoint(self._address_keys(each.preference))
            ):
                unchanged.append(each)
        return unchanged

    def _address_keys(self, preference: Preference) -> Iterator[bytes]:
        query = self._hasher.query(preference.customer, preference.addresses, with_spellings=True)
        return (change_key(digest) for _, digest in query.hashes)

    async def _ask(
        self,
        customers: Sequence[str],
        catalogue: Catalogue,
        positions: LogPositions,
        known: Mapping[str, Facts],
    ) -> dict[str, Facts]:
        try:
            preferences = await self._preference.get_facts_and_position(
                customers, positions, {name: known[name].preference for name in customers if name in known}
            )
            answer = await self._read_suppressions(
                [preferences.facts[customer] for customer in customers],
                positions,
                {name: known[name].suppressions for name in customers if name in known},
            )
        except Permanent as error:
            raise FactsRefused(f"facts are refused: {error.detail}", retry_after=5.0) from error
        # Holds are compared once for all customers who were asked about together before: they may name hundreds.
        same_holds = {id(each.holds): each.holds for each in known.values()}
        same_holds = {key: holds for key, holds in same_holds.items() if holds == answer.holds}
        position = (
            None
            if preferences.position is None or answer.position is None
            else FactsPosition(preferences.position, answer.position)
        )
        return {
            suppressions.customer: _reuse_or_build_facts(
                Facts(
                    preferences.facts[suppressions.customer],
                    suppressions,
                    answer.holds,
                    catalogue.policy,
                    catalogue.configured_channels,
                    position,
                ),
                known.get(suppressions.customer),
                same_holds,
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
        read_at: list[ChangePosition | None] = []
        for portion in _in_portions(preferences):
            answer = await self._ask_suppression(portion, positions, known)
            found += answer.customers
            holds = answer.holds
            read_at.append(answer.position)
        return SuppressionResponse(tuple(found), holds, position=earliest(read_at))

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


def _reuse_or_build_facts(current: Facts, known: Facts | None, same_holds: Collection[int]) -> Facts:
    """The known facts where nothing has changed, with everything that was derived from them; else the current ones.

    `same_holds`: the identities of known tuples of holds that equal the current ones.
    """
    if (
        known is not None
        and known.preference is current.preference
        and known.suppressions is current.suppressions
        and known.policy is current.policy
        and known.configured_channels is current.configured_channels
        and id(known.holds) in same_holds
    ):
        return known
    return current


def _with_catalogue(facts: Facts, catalogue: Catalogue) -> Facts:
    """The same facts beside the policy and the channels of this catalogue; the same object where it has these."""
    if facts.policy is catalogue.policy and facts.configured_channels is catalogue.configured_channels:
        return facts
    return Facts(
        facts.preference,
        facts.suppressions,
        facts.holds,
        catalogue.policy,
        catalogue.configured_channels,
        facts.position,
    )
