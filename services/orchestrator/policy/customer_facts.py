"""All that a rule may know about one customer, besides their ledger: frozen, and derived once, when it is asked for."""

from functools import lru_cache
from typing import Any

import msgspec

from schemas.facts import Address, Entry, HoldFact, OwnQuiet, Preference, Situation, Suppressions
from schemas.times import Instant
from schemas.vocabulary import Channel, Class
from services.orchestrator.policy.cached_attribute import lazy
from services.orchestrator.policy.compiled_policy import CUSTOMER_QUIET_HOURS, Cap, Policy, wish
from services.orchestrator.policy.match import customer_variables
from services.orchestrator.policy.quiet_windows import Quiet
from services.orchestrator.policy.scope import BY_DEFAULT, Kind, Scope
from services.orchestrator.policy.time_zones import Zone, zone, zones_of

_MARKETING = Class.MARKETING.value
_OWN = Scope(classes=BY_DEFAULT)


class Facts(msgspec.Struct, frozen=True, dict=True):
    """One customer's preference and suppressions, everybody's holds, the policy, and the channels that can send."""

    preference: Preference
    suppressions: Suppressions
    holds: tuple[HoldFact, ...]
    policy: Policy
    configured: frozenset[str]

    @lazy
    def customer(self) -> dict[str, Any]:
        """What conditions see as `customer`."""
        return customer_variables(self.preference)

    @lazy
    def zone(self) -> Zone:
        """The zone of the customer's calendar; the organisation's where theirs is unknown."""
        return zone(self.preference.zone) or self.policy.zone

    @lazy
    def quiet_zones(self) -> tuple[Zone, ...]:
        """The zones that must all be outside a quiet window."""
        own = zone(self.preference.zone)
        if own is not None:
            return (own,)
        return zones_of(self.preference.country) or self.policy.unknown_zones

    @property
    def own_quiet(self) -> tuple[Quiet, ...]:
        """The customer's own hours of silence."""
        return tuple(map(_own_quiet, self.preference.quiet_hours))

    @property
    def wish(self) -> Cap | None:
        """The customer's own cap on marketing."""
        return None if self.preference.frequency is None else wish(self.preference.frequency)

    @lazy
    def all_holds(self) -> tuple[HoldFact, ...]:
        """Everybody's holds and the customer's own, in order of key."""
        return tuple(sorted((*self.holds, *self.suppressions.holds), key=lambda hold: hold.key))

    @lazy
    def situations(self) -> dict[str, tuple[Situation, ...]]:
        """Situations by kind, in order of arrival."""
        found: dict[str, tuple[Situation, ...]] = {}
        for situation in self.suppressions.situations:
            found[situation.kind] = (*found.get(situation.kind, ()), situation)
        return found

    def reachable(self, channel: str, cls: str) -> bool:
        """Whether there is any such address."""
        for address in self.preference.addresses:
            if address.channel == channel and (address.verified or cls != _MARKETING):
                return True
        return False

    def usable(self, channel: str, cls: str) -> tuple[int, ...]:
        """Indexes of the customer's addresses that such a message may use; marketing needs a verified one."""
        return tuple(
            [
                index
                for index, address in enumerate(self.preference.addresses)
                if address.channel == channel and (address.verified or cls != _MARKETING)
            ]
        )

    def live(self, kind: Kind, t: Instant, ahead: int = 0) -> list[Entry]:
        """Do-not-contact entries in force at `t` that cover the kind; `ahead` takes in what begins a little later."""
        return [
            entry
            for entry in self.suppressions.entries
            if entry.at <= t + ahead
            and (entry.expires is None or t < entry.expires)
            and (entry.channel is None or entry.channel == kind.channel)
            and (entry.topic is None or entry.topic == kind.topic)
            and (entry.classes is None or kind.cls in entry.classes)
        ]

    def address(self, kind: Kind, t: Instant) -> Address | None:
        """Where the message goes: the first verified address that is not suppressed, else (not for marketing) the
        first that is not. None when there is none, and for `in_app`, which needs none.
        """
        if kind.channel == Channel.IN_APP:
            return None
        stopped = {entry.address for entry in self.live(kind, t)} if self.suppressions.entries else ()
        unverified = None
        for index, address in enumerate(self.preference.addresses):
            if address.channel != kind.channel or index in stopped:
                continue
            if address.verified:
                return address
            unverified = unverified or address
        return None if kind.cls == _MARKETING else unverified


@lru_cache(maxsize=4096)
def _own_quiet(own: OwnQuiet) -> Quiet:
    return Quiet.of(CUSTOMER_QUIET_HOURS, own.days, own.start, own.end, _OWN)
