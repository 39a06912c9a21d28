"""Denies what the customer switched off, or everything while they pause. Required topics: only their channel."""

from typing import Any

from schemas.decision import Verdict
from schemas.facts import OptOut
from schemas.times import Instant
from schemas.vocabulary import Reason
from services.orchestrator.policy.candidate import Candidate
from services.orchestrator.policy.customer_facts import Facts
from services.orchestrator.policy.scope import DEFAULT_CLASSES, MessageAttributes
from services.orchestrator.policy.verdicts import allow, deny, instant_text

NAME = "opt_out"
_REASON_ORDER = (Reason.OPTED_OUT_ALL, Reason.OPTED_OUT_CLASS, Reason.OPTED_OUT_CHANNEL, Reason.OPTED_OUT_TOPIC)
REASONS = (*_REASON_ORDER, Reason.PAUSED)
CLASSES = DEFAULT_CLASSES

_ALLOW = (allow(NAME),)


def evaluate(candidate: Candidate, facts: Facts, t: Instant) -> tuple[Verdict, ...]:
    """The first that holds, in the order all, class, channel, topic, paused."""
    preference, attributes = facts.preference, candidate.attributes
    if not preference.opt_outs and preference.paused_until is None:
        return _ALLOW
    required = attributes.topic in facts.policy.required_topics
    reasons = [_reason(entry) for entry in preference.opt_outs if _covers(entry, attributes)]
    for reason in _REASON_ORDER:
        if reason in reasons and (not required or reason is Reason.OPTED_OUT_CHANNEL):
            return (deny(NAME, reason, **_evidence(reason, attributes)),)
    paused_until = preference.paused_until
    if paused_until is not None and paused_until > t and not required:
        return (deny(NAME, Reason.PAUSED, until=paused_until, paused_until=instant_text(paused_until)),)
    return _ALLOW


def _covers(entry: OptOut, attributes: MessageAttributes) -> bool:
    if entry.all:
        return True
    return (
        (entry.cls is not None or entry.channel is not None or entry.topic is not None)
        and (entry.cls is None or entry.cls == attributes.cls)
        and (entry.channel is None or entry.channel == attributes.channel)
        and (entry.topic is None or entry.topic == attributes.topic)
    )


def _reason(entry: OptOut) -> Reason:
    if entry.all:
        return Reason.OPTED_OUT_ALL
    if entry.cls is not None:
        return Reason.OPTED_OUT_CLASS
    return Reason.OPTED_OUT_CHANNEL if entry.topic is None else Reason.OPTED_OUT_TOPIC


def _evidence(reason: Reason, attributes: MessageAttributes) -> dict[str, Any]:
    match reason:
        case Reason.OPTED_OUT_CLASS:
            return {"class": attributes.cls}
        case Reason.OPTED_OUT_CHANNEL:
            return {"channel": attributes.channel}
        case Reason.OPTED_OUT_TOPIC:
            return {"topic": attributes.topic}
    return {}
