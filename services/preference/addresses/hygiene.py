"""What is wrong with where customers can be reached, judged customer by customer and channel by channel. Pure."""

from collections.abc import Collection, Iterator
from typing import Final

from schemas.addresses import comparable_form
from schemas.facts import Address
from schemas.times import DAY, Instant
from services.preference.addresses.address_list import IN_USE, main_address, state_of
from services.preference.customer_lookup import MAX_KEY_LENGTH
from services.preference.preference_state import NEVER, PreferenceState, address_key

ON_CHANNEL: Final = "all"
"""Not wrong: the customer has an address on the channel. The other findings are parts of this number."""
FINDINGS: Final = (ON_CHANNEL, "unreachable", "unverified", "stale", "shared")
STALE_AFTER: Final = 730 * DAY
"""An address that nobody has given or verified for two years may have another owner by now."""


def lookup_value(address: Address) -> str:
    """The value under which `customer_lookup` has the address, whatever the channel."""
    return comparable_form(address.channel, address.canonical_form)[:MAX_KEY_LENGTH]


def find_faults(state: PreferenceState, shared: Collection[str], now: Instant) -> Iterator[tuple[str, str]]:
    """Channels of the customer, each with what is found there. `shared`: lookup values that several customers have.

    Unreachable: all addresses are former ones or cannot be used. Unverified: none of those in use is verified. Stale:
    the main address was last given long ago. Shared: another customer has one that is in use.
    """
    addresses = state.preference.addresses
    for channel in dict.fromkeys(each.channel for each in addresses):
        yield channel, ON_CHANNEL
        in_use = [each for each in addresses if each.channel == channel and state_of(each) in IN_USE]
        if not in_use:
            yield channel, "unreachable"
            continue
        if not any(each.verified for each in in_use):
            yield channel, "unverified"
        main = main_address(addresses, channel)
        if main is not None and NEVER < last_given(state, main) < now - STALE_AFTER:
            yield channel, "stale"
        if any(lookup_value(each) in shared for each in in_use):
            yield channel, "shared"


def last_given(state: PreferenceState, address: Address) -> Instant:
    """When the address was last given, alone or in a list; NEVER where that is not known."""
    merged = state.address_times.get(address_key(address))
    return max(state.times.get("addresses", NEVER), NEVER if merged is None else merged.last)
