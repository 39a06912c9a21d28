"""Conditions: a subset of CEL (Common Expression Language) over a few named variables.

- A field that is absent or null is missing. A condition whose evaluation ends in a missing field is False.
- `||` and `&&` ignore errors on one side if the other side decides; an error wins over a missing field.
- Any other error, and a result that is not a bool, raises ConditionError.
- Numbers compare by value. Values of different kinds are unequal; ordering them is an error.

How it works: syntax.py parses the text to the nodes of tree.py, compiler.py turns them into nested closures
(closures.py, macros.py) over the functions of functions.py and values.py, and budget.py bounds the work. Compiling once
and calling closures is what makes a condition cheap enough for every event; docs/decisions/0004 has the measurements.
"""

from collections.abc import Mapping
from typing import Any

from services.condition.budget import add_budget
from services.condition.closures import Evaluator, require_bool
from services.condition.compiler import ConditionCompiler
from services.condition.condition_error import ConditionError, MissingField, Site
from services.condition.syntax import ConditionSyntaxError, parse_condition

__all__ = ["CelCondition", "ConditionError", "ConditionSyntaxError", "compile_condition"]

INSTANT_FIELDS = frozenset({"event.time"})


class CelCondition:
    """A compiled condition. It may be evaluated any number of times, from any thread."""

    __slots__ = ("_evaluator", "_needs_budget", "_site", "text")

    def __init__(self, text: str, evaluator: Evaluator, site: Site, needs_budget: bool) -> None:
        self.text, self._evaluator, self._site, self._needs_budget = text, evaluator, site, needs_budget

    def __call__(self, variables: Mapping[str, Any]) -> bool:
        """Evaluates the condition for these variables. Raises ConditionError."""
        try:
            value = self._evaluator(add_budget(variables) if self._needs_budget else variables)
        except MissingField:
            return False
        return require_bool(value, self._site)

    def missing_variable(self, variables: Mapping[str, Any]) -> str | None:
        """The variable without a value that makes the condition false; None if it has a value or fails otherwise."""
        try:
            self._evaluator(add_budget(variables) if self._needs_budget else variables)
        except MissingField as missing:
            return missing.variable
        except ConditionError:
            return None
        return None

    def __repr__(self) -> str:
        return f"Condition({self.text!r})"


def compile_condition(text: str, variables: frozenset[str], instants: frozenset[str] = INSTANT_FIELDS) -> CelCondition:
    """Compiles a condition.

    `variables`: the names it may use. `event` allows every field of event; `event.type`, `event.data` allow only these.
    `instants`: fields that hold microseconds since 1970 and are read as timestamps. Raises ConditionSyntaxError.
    """
    compiler = ConditionCompiler(text, variables, instants)
    root = parse_condition(text)
    evaluator = compiler.compile_root(root)
    return CelCondition(text, evaluator, compiler.site(root, "the condition", root), compiler.needs_budget)
