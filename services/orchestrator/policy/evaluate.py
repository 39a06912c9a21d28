"""Evaluates all rules for a candidate at one instant; the strictest verdict wins: deny, fail, defer, allow."""

from typing import Any

import msgspec

from schemas.decision import Verdict
from schemas.times import Instant
from services.orchestrator.policy import verdicts
from services.orchestrator.policy.candidate import Candidate
from services.orchestrator.policy.customer_facts import Facts
from services.orchestrator.policy.rules.registry import EVALUATORS_BY_CLASS, HOLD_RULES


class RuleResults(msgspec.Struct, frozen=True):
    """All verdicts at one instant, and those that decide, in the order of the rules."""

    verdicts: tuple[Verdict, ...]
    denies: tuple[Verdict, ...] = ()
    fails: tuple[Verdict, ...] = ()
    defers: tuple[Verdict, ...] = ()

    @property
    def is_allowed(self) -> bool:
        """Whether no verdict objects."""
        return not (self.denies or self.fails or self.defers)


def evaluate_rules(candidate: Candidate, facts: Facts, t: Instant) -> RuleResults:
    """Evaluates every rule, even after one has refused. A rule that raises fails closed."""
    found: list[Verdict] = []
    for rule, evaluate, allowed in EVALUATORS_BY_CLASS[candidate.attributes.cls]:
        if evaluate is None:
            found += allowed
            continue
        try:
            found += evaluate(candidate, facts, t)
        except Exception as error:  # fail closed, whatever went wrong
            found.append(verdicts.fail(rule, **verdicts.failure_evidence(error)))
    for verdict in found:
        if verdict.verdict != verdicts.ALLOW:
            return _select_deciding(found, candidate, facts)
    return RuleResults(tuple(found))


def _select_deciding(found: list[Verdict], candidate: Candidate, facts: Facts) -> RuleResults:
    """Selects the deciding verdicts, leaving out shadow rules and failures of campaigns that fail open."""
    shadow, fails_open = facts.policy.shadow_ids, candidate.fails_open(facts)
    by_verdict: dict[str, list[Verdict]] = {verdicts.DENY: [], verdicts.FAIL: [], verdicts.DEFER: []}
    for index, verdict in enumerate(found):
        if verdict.verdict == verdicts.ALLOW:
            continue
        if verdict.id in shadow and verdict.rule not in HOLD_RULES:  # a hold is no entry of the policy
            found[index] = _with_evidence(verdict, shadow=True)
        elif verdict.verdict == verdicts.FAIL and fails_open:
            found[index] = _with_evidence(verdict, fail_open=True)
        else:
            by_verdict[verdict.verdict].append(verdict)
    return RuleResults(
        tuple(found),
        tuple(by_verdict[verdicts.DENY]),
        tuple(by_verdict[verdicts.FAIL]),
        tuple(by_verdict[verdicts.DEFER]),
    )


def _with_evidence(verdict: Verdict, **evidence: Any) -> Verdict:
    return msgspec.structs.replace(verdict, evidence={**verdict.evidence, **evidence})
