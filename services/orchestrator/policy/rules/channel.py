"""Denies a channel that has no configured adapter."""

from schemas.decision import Verdict
from schemas.times import Instant
from schemas.vocabulary import Reason
from services.orchestrator.policy.candidate import Candidate
from services.orchestrator.policy.customer_facts import Facts
from services.orchestrator.policy.scope import ALL_CLASSES
from services.orchestrator.policy.verdicts import allow, deny

NAME = "channel"
REASONS = (Reason.CHANNEL_NOT_CONFIGURED,)
CLASSES = ALL_CLASSES

_ALLOW = (allow(NAME),)


def evaluate(candidate: Candidate, facts: Facts, t: Instant) -> tuple[Verdict, ...]:
    """A channel is configured when an adapter serves it."""
    if candidate.channel in facts.configured_channels:
        return _ALLOW
    return (deny(NAME, Reason.CHANNEL_NOT_CONFIGURED, channel=candidate.channel),)
