"""What preference and suppression kept of the past, customer by customer: each state of the facts, and since when.

A state counts from the instant at which its service recorded it. `by_event`: an event led to it, and no person.
"""

import msgspec

from schemas.facts import CustomerAddressHashes, HoldFact, Preference, Suppressions
from schemas.times import Instant


class PreferenceSnapshot(msgspec.Struct, frozen=True, array_like=True):
    """What a customer had chosen, as known from `at` on."""

    at: Instant
    facts: Preference
    by_event: bool = False


class SuppressionsSnapshot(msgspec.Struct, frozen=True, array_like=True):
    """What spoke against speaking to a customer, as known from `at` on."""

    at: Instant
    facts: Suppressions
    by_event: bool = False


class HoldPeriod(msgspec.Struct, frozen=True, array_like=True):
    """Everybody's hold, and from when until when it was known."""

    placed: Instant
    ended: Instant | None
    hold: HoldFact


class PreferenceHistoryRequest(msgspec.Struct, frozen=True):
    """Of these customers, the state as of `since` and each later one until `until`."""

    customers: tuple[str, ...]
    since: Instant
    until: Instant


class SuppressionHistoryRequest(msgspec.Struct, frozen=True):
    """As `PreferencesBetween`, of customers and addresses. `address_key` is the fingerprint of the key."""

    customers: tuple[CustomerAddressHashes, ...]
    since: Instant
    until: Instant
    address_key: str = ""


class SuppressionHistory(msgspec.Struct, frozen=True):
    """The states of each customer in the order asked, and all holds that stood at some instant between.

    `unknown`: how many entries of addresses stood then and were removed later, so that whose they were is not kept.
    """

    customers: tuple[tuple[SuppressionsSnapshot, ...], ...]
    holds: tuple[HoldPeriod, ...] = ()
    unknown: int = 0


class CustomerHistory(msgspec.Struct, frozen=True):
    """One customer between two instants. Entries of addresses name their place in `asked`: channel and address."""

    customer: str
    preferences: tuple[PreferenceSnapshot, ...]
    asked: tuple[tuple[str, str], ...]
    suppressions: tuple[SuppressionsSnapshot, ...]
