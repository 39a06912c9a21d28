"""The history of facts that the preference and suppression services keep, customer by customer.

A snapshot counts from `at`, the instant at which its service recorded it (microseconds since 1970 UTC), until the next
one. `by_event` is True when an event caused the change, False when a person did.
"""

import msgspec

from schemas.facts import HoldFact, Preference, Suppressions
from schemas.times import Instant


class PreferenceSnapshot(msgspec.Struct, frozen=True, array_like=True):
    """A customer's preferences, as known from `at` on."""

    at: Instant
    facts: Preference
    by_event: bool = False


class SuppressionsSnapshot(msgspec.Struct, frozen=True, array_like=True):
    """A customer's suppressions, as known from `at` on."""

    at: Instant
    facts: Suppressions
    by_event: bool = False


class SuppressionsAsOf(msgspec.Struct, frozen=True):
    """A customer's suppressions together with the holds that concern everybody, as known from `at` on."""

    at: Instant
    customer: Suppressions
    holds: tuple[HoldFact, ...] = ()
    by_event: bool = False


class HoldPeriod(msgspec.Struct, frozen=True, array_like=True):
    """A hold that concerns everybody, and the period in which it was known: `placed` <= t < `ended`."""

    placed: Instant
    ended: Instant | None
    hold: HoldFact


class CustomerHistory(msgspec.Struct, frozen=True):
    """The facts of one customer between two instants.

    `asked`: the (channel, canonical address) pairs that suppression was asked about; an entry's `address` is an index
    into it.
    """

    customer: str
    preferences: tuple[PreferenceSnapshot, ...]
    asked: tuple[tuple[str, str], ...]
    suppressions: tuple[SuppressionsSnapshot, ...]
