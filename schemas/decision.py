"""A decision about a candidate: one outcome, one reason, and the verdicts of all rules.

Stored as a msgpack array (`array_like`): fields may be appended, never moved or removed.
"""

from typing import Any

import msgspec

from schemas.finding import Finding
from schemas.times import Instant, format_instant


class Verdict(msgspec.Struct, frozen=True, array_like=True):
    """The result of one rule at the decision time. `verdict` is allow, defer, deny or fail."""

    rule: str
    id: str | None
    verdict: str
    until: Instant | None = None
    reason: str | None = None
    evidence: dict[str, Any] = {}


class Jump(msgspec.Struct, frozen=True, array_like=True):
    """A later instant that planning tried, and the rule that had deferred the message until then."""

    at: Instant
    rule: str
    id: str | None
    until: Instant | None


class EventRef(msgspec.Struct, frozen=True, array_like=True):
    """The event behind a decision."""

    source: str
    id: str
    type: str
    time: Instant


class Decision(msgspec.Struct, frozen=True, array_like=True):
    """One evaluated candidate. Instants are microseconds; `to_document` returns the public form."""

    time: Instant
    message_id: str
    customer: str
    event: EventRef
    campaign: str
    version: int
    policy_version: int
    preference_version: int
    channel: str
    cls: str
    intent: str
    topic: str | None
    priority: int
    outcome: str
    reason: str
    rule_id: str | None = None
    until: Instant | None = None
    allowed_from: Instant | None = None
    lost_to: str | None = None
    verdicts: tuple[Verdict, ...] = ()
    jumps: tuple[Jump, ...] = ()
    failure: Finding | None = None
    """Why the content could not be rendered, with the place in the campaign and the variable; never a value."""


def _format_optional_instant(instant: Instant | None) -> str | None:
    return None if instant is None else format_instant(instant)


def to_document(decision: Decision, trace: str = "decisive") -> dict[str, Any]:
    """The public form of a decision. `trace`: none, decisive (verdicts that did not allow) or full."""
    document: dict[str, Any] = {
        "time": format_instant(decision.time),
        "message_id": decision.message_id,
        "customer": decision.customer,
        "event": {
            "source": decision.event.source,
            "id": decision.event.id,
            "type": decision.event.type,
            "time": format_instant(decision.event.time),
        },
        "campaign": decision.campaign,
        "version": decision.version,
        "policy_version": decision.policy_version,
        "preference_version": decision.preference_version,
        "channel": decision.channel,
        "class": decision.cls,
        "intent": decision.intent,
        "topic": decision.topic,
        "priority": decision.priority,
        "outcome": decision.outcome,
        "reason": decision.reason,
        "rule_id": decision.rule_id,
        "until": _format_optional_instant(decision.until),
        "allowed_from": _format_optional_instant(decision.allowed_from),
        "lost_to": decision.lost_to,
        "failure": None if decision.failure is None else decision.failure.as_document(),
    }
    if trace != "none":
        document["verdicts"] = [
            _verdict_document(verdict) for verdict in decision.verdicts if trace == "full" or verdict.verdict != "allow"
        ]
        document["jumps"] = [
            {
                "at": format_instant(jump.at),
                "rule": jump.rule,
                "id": jump.id,
                "until": _format_optional_instant(jump.until),
            }
            for jump in decision.jumps
        ]
    return document


def _verdict_document(verdict: Verdict) -> dict[str, Any]:
    return {
        "rule": verdict.rule,
        "id": verdict.id,
        "verdict": verdict.verdict,
        "until": _format_optional_instant(verdict.until),
        "reason": verdict.reason,
        # Decisions of earlier versions have the situation's reference: a value from an event's data.
        "evidence": {name: value for name, value in verdict.evidence.items() if name != "ref"},
    }
