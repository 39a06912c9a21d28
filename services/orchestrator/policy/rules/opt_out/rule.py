"""Denies what the customer opted out of, and everything while the customer has paused.

For topics that the policy requires, only an opt-out of the channel counts.
"""

from collections.abc import Sequence
from typing import Any

from schemas.decision import Verdict
from schemas.facts import OptOut
from schemas.permission import covers_message
from schemas.times import Instant
from services.orchestrator.policy.candidate import Candidate
from services.orchestrator.policy.customer_facts import Facts
from services.orchestrator.policy.rules.opt_out.declaration import (
    ID,
    OPTED_OUT_ALL,
    OPTED_OUT_CHANNEL,
    OPTED_OUT_CLASS,
    OPTED_OUT_TOPIC,
    PAUSED,
)
from services.orchestrator.policy.scope import MessageAttributes
from services.orchestrator.policy.verdicts import allow, deny, instant_text

_REASON_ORDER = (OPTED_OUT_ALL, OPTED_OUT_CLASS, OPTED_OUT_CHANNEL, OPTED_OUT_TOPIC)

_ALLOW = (allow(ID),)


def evaluate(candidate: Candidate, facts: Facts, t: Instant) -> tuple[Verdict, ...]:
    """The first that holds, in the order all, class, channel, topic, paused."""
    preference, attributes = facts.preference, candidate.attributes
    if not preference.opt_outs and preference.paused_until is None:
        return _ALLOW
    required = attributes.topic in facts.policy.required_topics
    target = attributes.cls, attributes.channel, attributes.topic
    covering = [entry for entry in preference.opt_outs if covers_message(entry, *target)]
    reasons = [_reason(entry) for entry in covering]
    for reason in _REASON_ORDER:
        if reason in reasons and (not required or reason == OPTED_OUT_CHANNEL):
            return (deny(ID, reason, **_evidence(reason, attributes, covering)),)
    paused_until = preference.paused_until
    if paused_until is not None and paused_until > t and not required:
        return (deny(ID, PAUSED, until=paused_until, paused_until=instant_text(paused_until)),)
    return _ALLOW


def _reason(entry: OptOut) -> str:
    if entry.all:
        return OPTED_OUT_ALL
    if entry.cls is not None:
        return OPTED_OUT_CLASS
    return OPTED_OUT_CHANNEL if entry.topic is None else OPTED_OUT_TOPIC


def _evidence(reason: str, attributes: MessageAttributes, covering: Sequence[OptOut]) -> dict[str, Any]:
    if reason == OPTED_OUT_CLASS:
        return {"class": attributes.cls, **_narrowing(covering)}
    if reason == OPTED_OUT_CHANNEL:
        return {"channel": attributes.channel}
    if reason != OPTED_OUT_TOPIC:
        return {}
    is_whole_topic = any(entry.channel is None for entry in covering if _reason(entry) == OPTED_OUT_TOPIC)
    return {"topic": attributes.topic, **({} if is_whole_topic else {"channel": attributes.channel})}


def _narrowing(covering: Sequence[OptOut]) -> dict[str, str]:
    """The channel and topic to which an opt-out of a class is limited; nothing if one is of the whole class."""
    widest = min(
        (entry for entry in covering if entry.cls is not None),
        key=lambda entry: (entry.channel is not None) + (entry.topic is not None),
    )
    named = {"channel": widest.channel, "topic": widest.topic}
    return {name: value for name, value in named.items() if value is not None}
