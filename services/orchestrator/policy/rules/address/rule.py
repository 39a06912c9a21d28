"""Denies where the customer has no usable address on the channel; marketing needs a verified one.

Channels that need no address are always allowed.
"""

from schemas.decision import Verdict
from schemas.times import Instant
from schemas.vocabulary import CHANNELS_WITHOUT_ADDRESS
from services.orchestrator.policy.candidate import Candidate
from services.orchestrator.policy.customer_facts import Facts
from services.orchestrator.policy.rules.address.declaration import ID, NO_ADDRESS
from services.orchestrator.policy.verdicts import allow, deny

_ALLOW = (allow(ID),)


def evaluate(candidate: Candidate, facts: Facts, t: Instant) -> tuple[Verdict, ...]:
    """Suppressed addresses are left to the rule `suppression`."""
    channel = candidate.channel
    if facts.has_address(channel, candidate.attributes.cls) or channel in CHANNELS_WITHOUT_ADDRESS:
        return _ALLOW
    unverified = sum(address.channel == channel for address in facts.preference.addresses)
    return (deny(ID, NO_ADDRESS, channel=channel, unverified=unverified),)
