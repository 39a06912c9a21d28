"""Every rule x candidate at one instant -> verdicts, and the strictest of them: deny, fail, defer, allow."""

from typing import Any, Final

import msgspec

from schemas.decision import Verdict
from schemas.times import Instant
from schemas.vocabulary import Class
from services.orchestrator.policy import verdicts as say
from services.orchestrator.policy.candidate import Candidate
from services.orchestrator.policy.customer_facts import Facts
from services.orchestrator.policy.rules import RULES

_APPLIES: Final = {
    cls.value: tuple((rule, cls in rule.CLASSES, (say.allow(rule.NAME),)) for rule in RULES) for cls in Class
}
_HOLD: Final = "hold"  # its ids are keys of holds, which no policy shadows


class Findings(msgspec.Struct, frozen=True):
    """All verdicts at one instant, and those that decide, in the order of the rules."""

    verdicts: tuple[Verdict, ...]
    denies: tuple[Verdict, ...] = ()
    fails: tuple[Verdict, ...] = ()
    defers: tuple[Verdict, ...] = ()

    @property
    def allow(self) -> bool:
        """Whether nothing speaks against it."""
        return not (self.denies or self.fails or self.defers)


def judge(candidate: Candidate, facts: Facts, t: Instant) -> Findings:
    """All rules run, whatever the others say. One that raises fails closed."""
    found: list[Verdict] = []
    for rule, applies, allowed in _APPLIES[candidate.kind.cls]:
        if not applies:
            found += allowed
            continue
        try:
            found += rule.judge(candidate, facts, t)
        except Exception as error:  # fail closed, whatever went wrong
            found.append(say.fail(rule.NAME, error=type(error).__name__))
    for verdict in found:
        if verdict.verdict != say.ALLOW:
            return _weigh(found, candidate, facts)
    return Findings(tuple(found))


def _weigh(found: list[Verdict], candidate: Candidate, facts: Facts) -> Findings:
    """Sets apart what decides: not shadow rules, nor failures of a campaign that fails open."""
    shadow, opens = facts.policy.shadow, candidate.fails_open(facts)
    by: dict[str, list[Verdict]] = {say.DENY: [], say.FAIL: [], say.DEFER: []}
    for place, verdict in enumerate(found):
        if verdict.verdict == say.ALLOW:
            continue
        if verdict.id in shadow and verdict.rule != _HOLD:
            found[place] = _noted(verdict, shadow=True)
        elif verdict.verdict == say.FAIL and opens:
            found[place] = _noted(verdict, fail_open=True)
        else:
            by[verdict.verdict].append(verdict)
    return Findings(tuple(found), tuple(by[say.DENY]), tuple(by[say.FAIL]), tuple(by[say.DEFER]))


def _noted(verdict: Verdict, **note: Any) -> Verdict:
    return msgspec.structs.replace(verdict, evidence={**verdict.evidence, **note})
