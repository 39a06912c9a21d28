"""Facts about one customer that rules use besides the ledger: frozen, with derived values computed on demand."""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec

from schemas.facts import Address, CustomerQuietHours, HoldFact, Preference, Situation, SuppressionEntry, Suppressions
from schemas.times import Instant
from schemas.vocabulary import CHANNELS_WITHOUT_ADDRESS, Class
from services.orchestrator.policy.cached_attribute import cached_attribute
from services.orchestrator.policy.compiled_policy import CUSTOMER_QUIET_HOURS_ID, Cap, CompiledPolicy, customer_cap
from services.orchestrator.policy.match import customer_variables
from services.orchestrator.policy.quiet_windows import QuietWindow
from services.orchestrator.policy.scope import DEFAULT_CLASSES, CompiledScope, MessageAttributes
from services.orchestrator.policy.time_zones import Zone, country_zones, load_zone

_MARKETING = Class.MARKETING.value
_CUSTOMER_SCOPE = CompiledScope(classes=DEFAULT_CLASSES)


class FactsPosition(NamedTuple):
    """Since when to ask preference and suppression for changes of facts: see services/kit/db/recent_changes.py."""

    preference: tuple[int, int]
    suppression: tuple[int, int]


class Facts(msgspec.Struct, frozen=True, dict=True):
    """A customer's preferences and suppressions, holds on all customers, the policy, and the configured channels.

    `position`: as of when both services answered; None where that is not known. No rule reads it.
    """

    preference: Preference
    suppressions: Suppressions
    holds: tuple[HoldFact, ...]
    policy: CompiledPolicy
    configured_channels: frozenset[str]
    position: FactsPosition | None = None

    @cached_attribute
    def customer_values(self) -> dict[str, Any]:
        """The variable `customer` of conditions."""
        return customer_variables(self.preference)

    @cached_attribute
    def calendar_zone(self) -> Zone:
        """The customer's time zone for calendar caps; the organisation's if theirs is unknown."""
        return load_zone(self.preference.zone) or self.policy.zone

    @cached_attribute
    def quiet_zones(self) -> tuple[Zone, ...]:
        """The zones that must all be outside a quiet window.

        The customer's own, else all zones of their country, else those that the policy names for unknown zones.
        """
        own = load_zone(self.preference.zone)
        if own is not None:
            return (own,)
        return country_zones(self.preference.country) or self.policy.unknown_zones

    @property
    def own_quiet_windows(self) -> tuple[QuietWindow, ...]:
        """The customer's own quiet hours."""
        return tuple(map(_customer_quiet_window, self.preference.quiet_hours))

    @property
    def own_cap(self) -> Cap | None:
        """The customer's own cap on marketing."""
        return None if self.preference.frequency is None else customer_cap(self.preference.frequency)

    @cached_attribute
    def all_holds(self) -> tuple[HoldFact, ...]:
        """Holds on all customers and on this customer, in order of key."""
        return tuple(sorted((*self.holds, *self.suppressions.holds), key=lambda hold: hold.key))

    @cached_attribute
    def situations_by_kind(self) -> dict[str, tuple[Situation, ...]]:
        """Situations by kind, in order of arrival."""
        found: dict[str, tuple[Situation, ...]] = {}
        for situation in self.suppressions.situations:
            found[situation.kind] = (*found.get(situation.kind, ()), situation)
        return found

    @cached_attribute
    def unusable_addresses(self) -> tuple[Address, ...]:
        """The addresses that have no canonical form; no message may use them."""
        return tuple([address for address in self.preference.addresses if address.problem is not None])

    def usable_address(self, channel: str, cls: str) -> Address | None:
        """Returns the first verified address that such a message may use, else (not for marketing) the first one.

        A former address, whose place another has taken, is used by no message.
        """
        unverified = None
        for address in self.preference.addresses:
            if address.channel == channel and address.problem is None and address.former is None:
                if address.verified:
                    return address
                unverified = unverified or address
        return None if cls == _MARKETING else unverified

    def address_to_verify(self, channel: str, cls: str) -> Address | None:
        """Returns the first address that a message may go to which asks to verify one; none for marketing."""
        for address in () if cls == _MARKETING else self.preference.addresses:
            if address.channel == channel and not (address.problem or address.former or address.verified):
                return address
        return None

    def usable_address_indexes(self, channel: str, cls: str) -> tuple[int, ...]:
        """Returns the indexes of addresses that such a message may use; marketing needs a verified one."""
        return tuple(
            [
                index
                for index, address in enumerate(self.preference.addresses)
                if address.channel == channel
                and address.problem is None
                and address.former is None
                and (address.verified or cls != _MARKETING)
            ]
        )

    def live_suppressions(
        self, attributes: MessageAttributes, t: Instant, clock_tolerance: int = 0
    ) -> list[SuppressionEntry]:
        """Returns the do-not-contact entries in force at `t` for such a message.

        `clock_tolerance` (microseconds) includes entries that begin slightly later.
        """
        return [
            entry
            for entry in self.suppressions.entries
            if entry.at <= t + clock_tolerance
            and (entry.expires is None or t < entry.expires)
            and (entry.channel is None or entry.channel == attributes.channel)
            and (entry.topic is None or entry.topic == attributes.topic)
            and (entry.classes is None or attributes.cls in entry.classes)
        ]

    def delivery_address(self, attributes: MessageAttributes, t: Instant) -> Address | None:
        """Returns the first verified address that is usable and not suppressed, else (not for marketing) the first
        unverified one.

        None when there is none, and on a channel that needs no address.
        """
        if attributes.channel in CHANNELS_WITHOUT_ADDRESS:
            return None
        unverified = None
        for address in self._deliverable_addresses(attributes, t):
            if address.verified:
                return address
            unverified = unverified or address
        return None if attributes.cls == _MARKETING else unverified

    def addresses_to_verify(self, attributes: MessageAttributes, t: Instant) -> list[Address]:
        """Returns the addresses that a message may go to which asks to verify one of them; none for marketing."""
        if attributes.cls == _MARKETING:
            return []
        return [address for address in self._deliverable_addresses(attributes, t) if not address.verified]

    def _deliverable_addresses(self, attributes: MessageAttributes, t: Instant) -> Iterator[Address]:
        suppressed_indexes = (
            {entry.address for entry in self.live_suppressions(attributes, t)} if self.suppressions.entries else ()
        )
        for index, address in enumerate(self.preference.addresses):
            if address.channel != attributes.channel or index in suppressed_indexes:
                continue
            if address.problem is None and address.former is None:
                yield address


@lru_cache(maxsize=4096)
def _customer_quiet_window(own: CustomerQuietHours) -> QuietWindow:
    return QuietWindow.from_minutes(CUSTOMER_QUIET_HOURS_ID, own.days, own.start, own.end, _CUSTOMER_SCOPE)
