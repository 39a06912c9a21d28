"""What every rule keeps, whichever it is."""

from pathlib import Path

import pytest

import schemas.policy
from schemas.documents import validate_document
from schemas.reasons import RULES, TITLES, Reason, reasons_with_outcome
from schemas.rule_registry import RULE_REGISTRY, RuleDeclaration
from schemas.vocabulary import Class, Outcome
from services.orchestrator.policy.rules import registry
from tests.support import rules_table
from tests.support.policy_builders import at, facts, judged, touch, try_on

every_rule = pytest.mark.parametrize("rule", RULE_REGISTRY.declarations.values(), ids=lambda rule: rule.id)


def test_the_built_in_rules_are_evaluated_in_this_order() -> None:
    assert tuple(registry.RULES_BY_ID) == RULES
    built_in = (
        *("campaign", "audience", "reentry", "expiry", "address", "suppression", "consent", "opt_out"),
        *("contact_history", "hold", "frequency_cap", "min_gap", "quiet_hours", "arbitration", "holdout", "channel"),
    )
    assert tuple(rule for rule in RULES if rule in built_in) == built_in


def test_no_two_rules_have_the_same_place() -> None:
    assert len({rule.order for rule in RULE_REGISTRY.declarations.values()}) == len(RULES)


def test_every_rule_has_its_table_of_tests() -> None:
    folder = Path(__file__).parents[1] / "orchestrator" / "policy" / "rules"
    assert {path.stem for path in folder.glob("test_*.py")} == {f"test_{rule}" for rule in RULES}


@every_rule
def test_a_rule_allows_what_nothing_forbids(rule: RuleDeclaration) -> None:
    assert rule.classes <= {cls.value for cls in Class}
    evaluated = registry.RULES_BY_ID[rule.id]
    verdicts = judged(evaluated, try_on(touch()))
    assert verdicts
    assert all(verdict.rule == rule.id and verdict.verdict == "allow" for verdict in verdicts)
    assert verdicts == list(evaluated.evaluate(try_on(touch()), facts(), at("02 10:00")))


@every_rule
def test_a_rule_that_may_park_says_what_a_message_waits_for(rule: RuleDeclaration) -> None:
    assert rule.may_park is hasattr(registry.RULES_BY_ID[rule.id], "list_wait_causes")
    assert rule.may_defer or not rule.may_park


@every_rule
def test_a_rule_that_refuses_for_situations_says_which_messages(rule: RuleDeclaration) -> None:
    assert rule.refuses_for_situations is hasattr(registry.RULES_BY_ID[rule.id], "list_situation_refusals")


@every_rule
def test_a_reason_has_a_title_and_outcomes(rule: RuleDeclaration) -> None:
    assert rule.reasons
    for reason in rule.reasons:
        assert TITLES[reason.code] == reason.title
        assert reason.outcomes
        assert all(reason.code in reasons_with_outcome(outcome) for outcome in reason.outcomes)


@every_rule
def test_a_sample_of_configuration_is_a_valid_part_of_a_policy(rule: RuleDeclaration) -> None:
    document = validate_document(schemas.policy.Policy, {"zone": "Etc/UTC", **rule.sample})
    assert document.model_fields_set == {"zone", *rule.sample}


def test_the_table_of_rules_in_the_documents_is_current() -> None:
    text = rules_table.PAGE.read_text("utf-8")
    assert text == rules_table.page(text), "run `python -m tests.support.rules_table`"


def test_only_rules_and_the_choice_among_channels_can_make_a_message_wait() -> None:
    codes: set[str] = {reason.code for rule in RULE_REGISTRY.declarations.values() for reason in rule.reasons}
    assert set(reasons_with_outcome(Outcome.DEFER)) <= {*codes, Reason.FALLBACK_WAIT}
