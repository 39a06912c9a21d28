"""All rules with their code, in tables that are built once: rules are on the hot path."""

from collections.abc import Callable, Mapping
from typing import Final

from schemas.decision import Verdict
from schemas.extensions import ExtensionError
from schemas.rule_registry import RULE_REGISTRY, RuleDeclaration, VerdictIds
from schemas.times import Instant
from schemas.vocabulary import Class
from services.orchestrator.policy import verdicts
from services.orchestrator.policy.candidate import Candidate
from services.orchestrator.policy.customer_facts import Facts
from services.orchestrator.policy.rules.definition import ParkingRule, Rule, SituationRule

Evaluate = Callable[[Candidate, Facts, Instant], tuple[Verdict, ...]]


def _load_rule(id: str) -> Rule:
    rule: Rule = RULE_REGISTRY.load_module(id, "rule")
    return rule


def _load_parking_rule(id: str) -> ParkingRule:
    rule: ParkingRule = RULE_REGISTRY.load_module(id, "rule")
    return rule


def _load_situation_rule(id: str) -> SituationRule:
    rule: SituationRule = RULE_REGISTRY.load_module(id, "rule")
    return rule


def _evaluators(cls: Class) -> tuple[tuple[str, Evaluate | None, tuple[Verdict, ...]], ...]:
    return tuple(
        (rule.id, RULES_BY_ID[rule.id].evaluate if cls.value in rule.classes else None, (verdicts.allow(rule.id),))
        for rule in _DECLARATIONS
    )


def _find_trigger_rule() -> str:
    found = [rule.id for rule in _DECLARATIONS if rule.reports_trigger_failures]
    if len(found) != 1:
        raise ExtensionError(f"exactly one rule must declare `reports_trigger_failures`, not {found}")
    return found[0]


_DECLARATIONS: Final[tuple[RuleDeclaration, ...]] = tuple(RULE_REGISTRY.declarations.values())
RULES_BY_ID: Final[Mapping[str, Rule]] = {rule.id: _load_rule(rule.id) for rule in _DECLARATIONS}
EVALUATORS_BY_CLASS: Final = {cls.value: _evaluators(cls) for cls in Class}
"""For each class of messages, in order: a rule's id, its `evaluate` unless it does not apply, and the verdict then."""
PARKING_RULES: Final = {rule.id: _load_parking_rule(rule.id) for rule in _DECLARATIONS if rule.may_park}
SITUATION_RULES: Final = tuple(_load_situation_rule(rule.id) for rule in _DECLARATIONS if rule.refuses_for_situations)
HOLD_RULES: Final = frozenset(rule.id for rule in _DECLARATIONS if rule.verdict_ids is VerdictIds.HOLDS)
"""The rules whose verdicts name holds."""
AUDIT_INVARIANTS: Final = {rule.id: rule.audit_invariant for rule in _DECLARATIONS if rule.audit_invariant is not None}
"""For each rule that the auditor evaluates again: the invariant that a message sent against it breaks."""
NEEDS_FULL_RECHECK: Final = any(rule.needs_full_recheck for rule in _DECLARATIONS)
"""Whether some rule reads the clock more finely than by the minute."""
TRIGGER_RULE: Final = _find_trigger_rule()
"""The rule that reports a trigger condition that cannot be evaluated."""
