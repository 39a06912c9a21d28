"""No code outside a rule's folder names the rule: what others need, its declaration says.

Some ids are words of the domain as well (`campaign`, `hold`): as a string they mean the thing, not the rule. For these
only imports and comparisons with a field `rule` count; for all other ids every string that is exactly the id.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from schemas.rule_registry import RULE_REGISTRY

ROOT = Path(__file__).parents[2]
RULES = "services.orchestrator.policy.rules"
DOMAIN_WORDS = frozenset(
    {
        "address",
        "audience",
        "campaign",
        "channel",
        "consent",
        "hold",
        "quarantine",
        "suppression",
    }  # things that rules are about
)
SAME_WORD = {
    "services/kit/runtime/service.py": {"expiry"},  # a background task
    "services/orchestrator/campaigns/policy_api.py": {"quiet_hours"},  # a section of the policy, in an example
    "services/orchestrator/campaigns/lint/policy_lint.py": {"contact_history", "quiet_hours"},  # sections of the policy
    "services/orchestrator/decisions/store.py": {"contact_history"},  # a table
    "services/orchestrator/decisions/tables.py": {"contact_history"},  # a table
    "services/orchestrator/erasure/erased_stores.py": {"contact_history"},  # a table
    "services/orchestrator/erasure/erasure_steps.py": {"contact_history"},  # a table
    "services/orchestrator/retention/retention_rules.py": {"contact_history"},  # a table
    "services/orchestrator/subject_export/export_sections.py": {"contact_history"},  # a table
    "services/preference/document_form.py": {"quiet_hours"},  # a field of the customer's document
    "services/preference/centre/data_page.py": {"quiet_hours"},  # a field of the customer's document
    "services/preference/centre/wishes.py": {"quiet_hours"},  # a field of the customer's document
    "services/development/imaginary_shop.py": {"quiet_hours"},  # a field of the customer's document
}
"""Files that use a word which is a rule's id for something else."""


def sources() -> Iterator[tuple[Path, frozenset[str]]]:
    """Our modules, and the ids that each may not name. Migrations keep the words of their time."""
    ids, folder = frozenset(RULE_REGISTRY.declarations), ROOT / RULES.replace(".", "/")
    for package in ("schemas", "services", "tactful"):
        for path in sorted((ROOT / package).rglob("*.py")):
            if "migrations" not in path.parts:
                yield path, ids - {path.parent.name} if path.parent.parent == folder else ids


def mentions(tree: ast.AST, ids: frozenset[str]) -> Iterator[str]:
    """The ids of rules that a module names."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in ids - DOMAIN_WORDS:
            yield node.value
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            names = {alias.name for alias in node.names} if module == RULES else {module.removeprefix(RULES + ".")}
            yield from {name.partition(".")[0] for name in names} & ids if module.startswith(RULES) else ()
        elif isinstance(node, ast.Import):
            yield from {alias.name.removeprefix(RULES + ".").partition(".")[0] for alias in node.names} & ids
        elif isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            if any(isinstance(side, ast.Attribute) and side.attr == "rule" for side in sides):
                words = {str(each.value) for side in sides for each in ast.walk(side) if isinstance(each, ast.Constant)}
                yield from words & ids


def test_no_code_outside_its_folder_names_a_rule() -> None:
    found = {
        str(path.relative_to(ROOT)): set(mentions(ast.parse(path.read_text("utf-8")), ids)) for path, ids in sources()
    }
    assert {path: names for path, names in found.items() if names} == SAME_WORD


@pytest.mark.parametrize(
    "code",
    [
        'LIMITED = {"frequency_cap": 1}',
        f"from {RULES} import hold",
        f"from {RULES}.hold.declaration import ID",
        f"import {RULES}.hold.rule",
        'found = verdict.rule == "hold"',
        'found = verdict.rule in ("hold", "campaign")',
    ],
)
def test_a_mention_is_found(code: str) -> None:
    assert set(mentions(ast.parse(code), frozenset(RULE_REGISTRY.declarations))) & {"hold", "frequency_cap"}
