"""Denies where the customer has no usable address on the channel; marketing needs a verified one.

Channels that need no address are always allowed. A message that asks to verify an address needs one that is not
verified, and is never marketing; which one it goes to, the rendering finds by its id. An address without a canonical
form is passed over, and the verdict says so.
"""

from typing import Any

from schemas.decision import Verdict
from schemas.facts import Address
from schemas.own_events import ADDRESS_VERIFICATION_REQUESTED
from schemas.times import Instant
from schemas.vocabulary import CHANNELS_WITHOUT_ADDRESS
from services.orchestrator.policy.candidate import Candidate
from services.orchestrator.policy.customer_facts import Facts
from services.orchestrator.policy.rules.address.declaration import ID, NO_ADDRESS
from services.orchestrator.policy.verdicts import allow_with, deny

_ALLOW_WITHOUT_ADDRESS = (allow_with(ID, needed=False),)
_ALLOW = {verified: (allow_with(ID, verified=verified),) for verified in (True, False)}


def evaluate(candidate: Candidate, facts: Facts, t: Instant) -> tuple[Verdict, ...]:
    """Suppressed addresses are left to the rule `suppression`."""
    channel = candidate.channel
    if channel in CHANNELS_WITHOUT_ADDRESS:
        return _ALLOW_WITHOUT_ADDRESS
    passed_over = _passed_over(channel, facts) if facts.unusable_addresses else {}
    address = _choose(candidate, facts)
    if address is not None:
        return (allow_with(ID, verified=address.verified, **passed_over),) if passed_over else _ALLOW[address.verified]
    unverified = sum(
        address.channel == channel and address.problem is None and address.former is None
        for address in facts.preference.addresses
    )
    return (deny(ID, NO_ADDRESS, channel=channel, unverified=unverified, **passed_over),)


def _choose(candidate: Candidate, facts: Facts) -> Address | None:
    channel, cls, triggered = candidate.channel, candidate.attributes.cls, candidate.triggered
    if triggered.event.type != ADDRESS_VERIFICATION_REQUESTED:
        return facts.usable_address(channel, cls)
    return facts.address_to_verify(channel, cls) if triggered.data.get("channel") == channel else None


def _passed_over(channel: str, facts: Facts) -> dict[str, Any]:
    """The evidence about unusable addresses of the channel: how many, and what is wrong with them."""
    problems = [address.problem for address in facts.unusable_addresses if address.channel == channel]
    return {"unusable": len(problems), "problems": sorted(set(problems))} if problems else {}
