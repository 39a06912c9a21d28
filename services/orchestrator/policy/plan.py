"""The earliest instant at which no rule says defer: jump to the latest `until` and judge again; or park."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from schemas.decision import Decision, EventRef, Jump, Verdict
from schemas.times import Instant
from schemas.vocabulary import Outcome, Reason
from services.orchestrator.policy.candidate import Candidate
from services.orchestrator.policy.customer_facts import Facts
from services.orchestrator.policy.evaluate import Findings, judge
from services.orchestrator.policy.rules import contact_history, hold

MAX_JUMPS: Final = 64


@dataclass(frozen=True, slots=True)
class Parked:
    """A message without an instant to wait for: judged again when one of these ends, and at `wake_at` at the latest.

    `wake_at` is the earliest of the lapses of its situations and its expiry.
    """

    holds: tuple[str, ...]
    situations: tuple[tuple[str, str], ...]
    wake_at: Instant


class Plan(msgspec.Struct, frozen=True):
    """What becomes of one candidate."""

    candidate: Candidate
    outcome: Outcome
    reason: str
    rule_id: str | None = None
    until: Instant | None = None
    allowed_from: Instant | None = None
    lost_to: str | None = None
    verdicts: tuple[Verdict, ...] = ()
    jumps: tuple[Jump, ...] = ()
    parked: Parked | None = None

    def as_other_channel(self) -> "Plan":
        """The same candidate, given up for another channel."""
        return msgspec.structs.replace(
            self, outcome=Outcome.SUPPRESS, reason=Reason.OTHER_CHANNEL.value, rule_id=None, until=None, parked=None
        )

    def decision(self, facts: Facts, now: Instant) -> Decision:
        """The line that is kept of it."""
        candidate = self.candidate
        event, campaign = candidate.touch.event, candidate.campaign
        return Decision(
            time=now,
            message_id=candidate.message_id,
            customer=event.subject,
            event=EventRef(event.source, event.id, event.type, event.time),
            campaign=campaign.key,
            version=campaign.version,
            policy_version=facts.policy.version,
            preference_version=facts.preference.version,
            channel=candidate.channel,
            cls=campaign.cls,
            intent=campaign.intent,
            topic=campaign.topic,
            priority=campaign.priority,
            outcome=self.outcome.value,
            reason=self.reason,
            rule_id=self.rule_id,
            until=self.until,
            allowed_from=self.allowed_from,
            lost_to=self.lost_to,
            verdicts=self.verdicts,
            jumps=self.jumps,
        )


def plan(candidate: Candidate, facts: Facts, now: Instant, found: Findings | None = None) -> Plan:
    """Plans one candidate from `now` on. `found` is what was found at `now`, where that is known already."""
    findings = found or judge(candidate, facts, now)
    verdicts, t = findings.verdicts, now
    jumps: list[Jump] = []
    last: Verdict | None = None
    for _ in range(MAX_JUMPS + 1):
        if findings.denies or findings.fails:
            decides = (findings.denies or findings.fails)[0]
            if t != now:
                jumps.append(Jump(t, decides.rule, decides.id, None))
            return _stopped(candidate, findings, verdicts, tuple(jumps))
        if not findings.defers:
            return _free(candidate, last, t, verdicts, tuple(jumps))
        parking = next((verdict for verdict in findings.defers if verdict.until is None), None)
        last = parking or max(findings.defers, key=lambda verdict: verdict.until or 0)
        if t != now:
            jumps.append(Jump(t, last.rule, last.id, last.until))
        if last.until is None:
            return _parked(candidate, facts, findings, verdicts, tuple(jumps), t)
        t = last.until
        findings = judge(candidate, facts, t)
    return Plan(candidate, Outcome.FAIL, Reason.POLICY_UNAVAILABLE.value, verdicts=verdicts, jumps=tuple(jumps))


def _free(
    candidate: Candidate, last: Verdict | None, t: Instant, verdicts: tuple[Verdict, ...], jumps: tuple[Jump, ...]
) -> Plan:
    if last is None:
        return Plan(candidate, Outcome.SEND, Reason.ELIGIBLE.value, verdicts=verdicts)
    return Plan(candidate, Outcome.DEFER, last.reason or "", last.id, t, verdicts=verdicts, jumps=jumps)


def _stopped(candidate: Candidate, findings: Findings, verdicts: tuple[Verdict, ...], jumps: tuple[Jump, ...]) -> Plan:
    if not findings.denies:
        return Plan(candidate, Outcome.FAIL, Reason.POLICY_UNAVAILABLE.value, verdicts=verdicts, jumps=jumps)
    first = findings.denies[0]
    return Plan(
        candidate,
        Outcome.SUPPRESS,
        first.reason or "",
        first.id,
        allowed_from=_latest(findings.denies),
        lost_to=first.evidence.get("lost_to"),
        verdicts=verdicts,
        jumps=jumps,
    )


def _latest(denies: Sequence[Verdict]) -> Instant | None:
    """When the last of them would allow; None when one cannot tell."""
    told = [verdict.until for verdict in denies if verdict.until is not None]
    return max(told) if len(told) == len(denies) else None


def _parked(
    candidate: Candidate,
    facts: Facts,
    findings: Findings,
    verdicts: tuple[Verdict, ...],
    jumps: tuple[Jump, ...],
    t: Instant,
) -> Plan:
    by = [verdict for verdict in findings.defers if verdict.until is None]
    holds = tuple(str(verdict.id) for verdict in by if verdict.rule == hold.NAME)
    entries = {verdict.id for verdict in by if verdict.rule == contact_history.NAME}
    situations: dict[tuple[str, str], None] = {}
    wake_at = candidate.touch.expires_at
    for entry in candidate.concern.histories:
        if entry.id in entries:
            for found in contact_history.open_at(entry, facts, t):
                situations[found.kind, found.ref] = None
                wake_at = min(wake_at, found.opened + (entry.lapses or 0))
    first, parked = by[0], Parked(holds, tuple(situations), wake_at)
    reason = first.reason or ""
    return Plan(candidate, Outcome.DEFER, reason, first.id, verdicts=verdicts, jumps=jumps, parked=parked)
