"""Reads the recorded past from preference and suppression, for many customers at once."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from schemas.facts import Address
from schemas.recorded import CustomerHistory, HoldPeriod, PreferenceSnapshot
from schemas.service_api import CustomerAddressHashes, SuppressionHistory
from schemas.times import Instant
from services.clients.address_hashes import AddressHasher
from services.kit.errors import Permanent, Transient
from services.kit.runtime.loop_share import LoopShare


class PastRefused(Transient):
    """Another service refused to return its history."""

    default_code = "past_refused"


class PreferenceHistoryApi(Protocol):
    """The history API of preference; implemented by services.clients.preference.PreferenceClient."""

    async def read_recorded(
        self, customers: Sequence[str], since: Instant, until: Instant
    ) -> dict[str, tuple[PreferenceSnapshot, ...]]:
        """Returns the recorded states of each customer. Raises Transient, Permanent."""


class SuppressionHistoryApi(Protocol):
    """The history API of suppression; implemented by services.clients.suppression.SuppressionClient."""

    async def read_recorded(
        self, asked: Sequence[CustomerAddressHashes], since: Instant, until: Instant
    ) -> SuppressionHistory:
        """Returns the recorded states of each customer in the order asked, and the holds. Raises Transient,
        Permanent.
        """


MAX_ADDRESSES = 200
"""Addresses asked about at once; a customer with more is asked about alone."""


class RecordedFacts(NamedTuple):
    """Recorded facts of some customers between two instants, holds on all customers, and the number of unknown removed
    entries.
    """

    customers: list[CustomerHistory]
    holds: tuple[HoldPeriod, ...]
    unknown: int


class HistoryReader:
    """Asks preference first, then suppression about all addresses that a customer had."""

    def __init__(
        self, preference: PreferenceHistoryApi, suppression: SuppressionHistoryApi, hasher: AddressHasher
    ) -> None:
        self._preference = preference
        self._suppression = suppression
        self._hasher = hasher
        self._loop_share = LoopShare()

    async def read_between(self, customers: Sequence[str], since: Instant, until: Instant) -> RecordedFacts:
        """Returns the facts known as of `since` and after each change until `until`. Raises Transient."""
        try:
            preferences = await self._preference.read_recorded(customers, since, until)
            addresses = {customer: _all_addresses(preferences[customer]) for customer in customers}
            if len(customers) > 1 and sum(map(len, addresses.values())) > MAX_ADDRESSES:
                middle = len(customers) // 2
                first = await self.read_between(customers[:middle], since, until)
                rest = await self.read_between(customers[middle:], since, until)
                unknown = max(first.unknown, rest.unknown)
                return RecordedFacts([*first.customers, *rest.customers], rest.holds, unknown)
            await self._loop_share.give_turn_if_due()
            hashed_addresses = [
                self._hasher.query(customer, addresses[customer], with_spellings=True) for customer in customers
            ]
            suppressions = await self._suppression.read_recorded(hashed_addresses, since, until)
        except Permanent as error:
            raise PastRefused(f"a service refused to return its history: {error.detail}", retry_after=5.0) from error
        histories = [
            CustomerHistory(customer, preferences[customer], _name_addresses(addresses[customer]), states)
            for customer, states in zip(customers, suppressions.customers, strict=True)
        ]
        return RecordedFacts(histories, suppressions.holds, suppressions.unknown)


def _all_addresses(states: Sequence[PreferenceSnapshot]) -> list[Address]:
    """Returns each address of any of the states once, in each spelling."""
    return list(dict.fromkeys(each for state in states for each in state.facts.addresses))


def _name_addresses(addresses: Sequence[Address]) -> tuple[tuple[str, str], ...]:
    return tuple((each.channel, each.canonical_form) for each in addresses)
