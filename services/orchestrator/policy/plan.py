"""Plans a candidate: finds the earliest instant at which no rule defers, by jumping to the latest `until`; or
parks it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from schemas.decision import Decision, EventRef, Jump, Verdict
from schemas.reasons import Reason
from schemas.times import Instant
from schemas.vocabulary import Outcome
from services.orchestrator.policy.candidate import Candidate
from services.orchestrator.policy.customer_facts import Facts
from services.orchestrator.policy.evaluate import RuleResults, evaluate_rules
from services.orchestrator.policy.rules.definition import HoldCause
from services.orchestrator.policy.rules.registry import PARKING_RULES

MAX_JUMPS: Final = 64
OPEN_OUTCOMES: Final = (Outcome.SEND, Outcome.DEFER)


@dataclass(frozen=True, slots=True)
class ParkedUntil:
    """A message without a known instant: re-evaluated when one of these ends, and at `wake_at` at the latest.

    `wake_at` is the earliest of the lapses of its situations and its expiry.
    """

    holds: tuple[str, ...]
    situations: tuple[tuple[str, str], ...]
    wake_at: Instant


class CandidatePlan(msgspec.Struct, frozen=True):
    """The plan for one candidate. `woken_by`: with `fallback`, the channels whose confirmation or end plans it anew;
    its own if there is no other.
    """

    candidate: Candidate
    outcome: Outcome
    reason: str
    rule_id: str | None = None
    until: Instant | None = None
    allowed_from: Instant | None = None
    lost_to: str | None = None
    verdicts: tuple[Verdict, ...] = ()
    jumps: tuple[Jump, ...] = ()
    parked: ParkedUntil | None = None
    woken_by: tuple[str, ...] = ()

    @property
    def is_open(self) -> bool:
        """Whether it may be sent, now or later."""
        return self.outcome in OPEN_OUTCOMES

    def as_other_channel(self) -> "CandidatePlan":
        """Returns the plan of a candidate given up in favour of another channel."""
        return msgspec.structs.replace(
            self, outcome=Outcome.SUPPRESS, reason=Reason.OTHER_CHANNEL.value, rule_id=None, until=None, parked=None
        )

    def to_decision(self, facts: Facts, now: Instant) -> Decision:
        """Builds the decision record."""
        candidate = self.candidate
        event, campaign = candidate.triggered.event, candidate.campaign
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


def earliest_plan(open_plans: Sequence[CandidatePlan]) -> CandidatePlan:
    """The plan to choose: the first that may send now, else the earliest deferred, else the first parked."""
    return min(open_plans, key=_send_time_key)


def _send_time_key(each: CandidatePlan) -> tuple[int, Instant]:
    if each.outcome is Outcome.SEND:
        return 0, 0
    return (2, 0) if each.until is None else (1, each.until)


def plan_candidate(
    candidate: Candidate, facts: Facts, now: Instant, results_now: RuleResults | None = None
) -> CandidatePlan:
    """Plans one candidate from `now` on. `results_now`: the rule results at `now`, if already computed."""
    results = results_now or evaluate_rules(candidate, facts, now)
    verdicts, t = results.verdicts, now
    jumps: list[Jump] = []
    last: Verdict | None = None
    for _ in range(MAX_JUMPS + 1):
        if results.denies or results.fails:
            decisive = (results.denies or results.fails)[0]
            if t != now:
                jumps.append(Jump(t, decisive.rule, decisive.id, None))
            return _refused_plan(candidate, results, verdicts, tuple(jumps))
        if not results.defers:
            return _allowed_plan(candidate, last, t, verdicts, tuple(jumps))
        parking = next((verdict for verdict in results.defers if verdict.until is None), None)
        last = parking or max(results.defers, key=lambda verdict: verdict.until or 0)
        if t != now:
            jumps.append(Jump(t, last.rule, last.id, last.until))
        if last.until is None:
            return _parked_plan(candidate, facts, results, verdicts, tuple(jumps), t)
        t = last.until
        results = evaluate_rules(candidate, facts, t)
    return CandidatePlan(
        candidate, Outcome.FAIL, Reason.POLICY_UNAVAILABLE.value, verdicts=verdicts, jumps=tuple(jumps)
    )


def _allowed_plan(
    candidate: Candidate, last: Verdict | None, t: Instant, verdicts: tuple[Verdict, ...], jumps: tuple[Jump, ...]
) -> CandidatePlan:
    if last is None:
        return CandidatePlan(candidate, Outcome.SEND, Reason.ELIGIBLE.value, verdicts=verdicts)
    return CandidatePlan(candidate, Outcome.DEFER, last.reason or "", last.id, t, verdicts=verdicts, jumps=jumps)


def _refused_plan(
    candidate: Candidate, results: RuleResults, verdicts: tuple[Verdict, ...], jumps: tuple[Jump, ...]
) -> CandidatePlan:
    if not results.denies:
        return CandidatePlan(candidate, Outcome.FAIL, Reason.POLICY_UNAVAILABLE.value, verdicts=verdicts, jumps=jumps)
    first = results.denies[0]
    return CandidatePlan(
        candidate,
        Outcome.SUPPRESS,
        first.reason or "",
        first.id,
        allowed_from=_latest_until(results.denies),
        lost_to=first.evidence.get("lost_to"),
        verdicts=verdicts,
        jumps=jumps,
    )


def _latest_until(denies: Sequence[Verdict]) -> Instant | None:
    """Returns when the last of them would allow, or None if that is unknown."""
    known_untils = [verdict.until for verdict in denies if verdict.until is not None]
    return max(known_untils) if len(known_untils) == len(denies) else None


def _parked_plan(
    candidate: Candidate,
    facts: Facts,
    results: RuleResults,
    verdicts: tuple[Verdict, ...],
    jumps: tuple[Jump, ...],
    t: Instant,
) -> CandidatePlan:
    parking_verdicts = [verdict for verdict in results.defers if verdict.until is None]
    holds: list[str] = []
    situations: dict[tuple[str, str], None] = {}
    wake_at = candidate.triggered.expires_at
    for verdict in parking_verdicts:
        rule = PARKING_RULES.get(verdict.rule)
        for cause in () if rule is None else rule.list_wait_causes(verdict, candidate, facts, t):
            if isinstance(cause, HoldCause):
                holds.append(cause.key)
            else:
                situations[cause.kind, cause.ref] = None
                wake_at = min(wake_at, cause.lapses_at)
    first, parked = parking_verdicts[0], ParkedUntil(tuple(holds), tuple(situations), wake_at)
    reason = first.reason or ""
    return CandidatePlan(candidate, Outcome.DEFER, reason, first.id, verdicts=verdicts, jumps=jumps, parked=parked)
