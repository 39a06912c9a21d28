"""Every rule obeys its protocol, and RULES is the table of the reference."""

from pathlib import Path

import pytest

from schemas.vocabulary import RULES as NAMES
from schemas.vocabulary import Class, Reason
from services.orchestrator.policy import rules
from services.orchestrator.policy.rules import RULES, Rule
from tests.support.policy_builders import at, facts, judged, touch, try_on


def test_rules_stand_in_the_order_of_the_table() -> None:
    assert tuple(rule.NAME for rule in RULES) == NAMES


def test_every_file_is_a_rule_in_the_tuple() -> None:
    folder = Path(rules.__file__).parent
    assert {path.stem for path in folder.glob("*.py")} - {"__init__"} == {rule.NAME for rule in RULES}


def test_every_rule_has_its_table_of_tests() -> None:
    folder = Path(__file__).parents[1] / "orchestrator" / "policy" / "rules"
    assert {path.stem for path in folder.glob("test_*.py")} == {f"test_{rule.NAME}" for rule in RULES}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.NAME)
def test_a_rule_names_its_reasons_and_classes_and_always_answers(rule: Rule) -> None:
    assert set(rule.REASONS) <= set(Reason)
    assert set(rule.CLASSES) <= {cls.value for cls in Class}
    verdicts = judged(rule, try_on(touch()))
    assert verdicts
    assert all(verdict.rule == rule.NAME and verdict.verdict == "allow" for verdict in verdicts)
    assert verdicts == list(rule.evaluate(try_on(touch()), facts(), at("02 10:00")))
