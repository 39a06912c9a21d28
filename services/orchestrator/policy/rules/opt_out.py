"""Denies what the customer switched off, or everything while they pause. Required topics: only their channel."""

from typing import Any

from schemas.decision import Verdict
from schemas.facts import OptOut
from schemas.times import Instant
from schemas.vocabulary import Reason
from services.orchestrator.policy.candidate import Candidate
from services.orchestrator.policy.customer_facts import Facts
from services.orchestrator.policy.scope import BY_DEFAULT, Kind
from services.orchestrator.policy.verdicts import allow, deny, text

NAME = "opt_out"
_ORDER = (Reason.OPTED_OUT_ALL, Reason.OPTED_OUT_CLASS, Reason.OPTED_OUT_CHANNEL, Reason.OPTED_OUT_TOPIC)
REASONS = (*_ORDER, Reason.PAUSED)
CLASSES = BY_DEFAULT

_ALLOW = (allow(NAME),)


def judge(candidate: Candidate, facts: Facts, t: Instant) -> tuple[Verdict, ...]:
    """The first that holds, in the order all, class, channel, topic, paused."""
    preference, kind = facts.preference, candidate.kind
    if not preference.opt_outs and preference.paused_until is None:
        return _ALLOW
    required = kind.topic in facts.policy.required
    reasons = [_reason(entry) for entry in preference.opt_outs if _covers(entry, kind)]
    for reason in _ORDER:
        if reason in reasons and (not required or reason is Reason.OPTED_OUT_CHANNEL):
            return (deny(NAME, reason, **_evidence(reason, kind)),)
    paused_until = preference.paused_until
    if paused_until is not None and paused_until > t and not required:
        return (deny(NAME, Reason.PAUSED, until=paused_until, paused_until=text(paused_until)),)
    return _ALLOW


def _covers(entry: OptOut, kind: Kind) -> bool:
    if entry.all:
        return True
    return (
        (entry.cls is not None or entry.channel is not None or entry.topic is not None)
        and (entry.cls is None or entry.cls == kind.cls)
        and (entry.channel is None or entry.channel == kind.channel)
        and (entry.topic is None or entry.topic == kind.topic)
    )


def _reason(entry: OptOut) -> Reason:
    if entry.all:
        return Reason.OPTED_OUT_ALL
    if entry.cls is not None:
        return Reason.OPTED_OUT_CLASS
    return Reason.OPTED_OUT_CHANNEL if entry.topic is None else Reason.OPTED_OUT_TOPIC


def _evidence(reason: Reason, kind: Kind) -> dict[str, Any]:
    match reason:
        case Reason.OPTED_OUT_CLASS:
            return {"class": kind.cls}
        case Reason.OPTED_OUT_CHANNEL:
            return {"channel": kind.channel}
        case Reason.OPTED_OUT_TOPIC:
            return {"topic": kind.topic}
    return {}
