"""Denies messages on a channel that no adapter serves."""

from schemas.decision import Verdict
from schemas.times import Instant
from services.orchestrator.policy.candidate import Candidate
from services.orchestrator.policy.customer_facts import Facts
from services.orchestrator.policy.rules.channel.declaration import CHANNEL_NOT_CONFIGURED, ID
from services.orchestrator.policy.verdicts import allow, deny

_ALLOW = (allow(ID),)


def evaluate(candidate: Candidate, facts: Facts, t: Instant) -> tuple[Verdict, ...]:
    """One verdict, from the channels that this installation has adapters for."""
    if candidate.channel in facts.configured_channels:
        return _ALLOW
    return (deny(ID, CHANNEL_NOT_CONFIGURED, channel=candidate.channel),)
