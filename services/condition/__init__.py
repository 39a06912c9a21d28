"""Conditions: CEL over a few named variables, with a fixed meaning for missing fields and errors.

- A field that is absent or null is missing. An evaluation that ends in a missing field is False.
- `||` and `&&` absorb any error beside a deciding side. Of a missing field and another error the other one wins.
- Any other error, and a result that is not a bool, raises ConditionError.
- Numbers compare by value. Values of different kinds are unequal; ordering them is an error.
"""

from collections.abc import Mapping
from typing import Any

from services.condition.closures import Evaluator, require_bool
from services.condition.compiler import ConditionCompiler
from services.condition.macros import add_budget
from services.condition.syntax import ConditionSyntaxError, parse_condition
from services.condition.values import ConditionError, MissingField

__all__ = ["CelCondition", "ConditionError", "ConditionSyntaxError", "compile_condition"]

INSTANT_FIELDS = frozenset({"event.time"})


class CelCondition:
    """A condition, ready to be evaluated any number of times, from any thread."""

    __slots__ = ("_evaluator", "_uses_macros", "text")

    def __init__(self, text: str, evaluator: Evaluator, uses_macros: bool) -> None:
        self.text, self._evaluator, self._uses_macros = text, evaluator, uses_macros

    def __call__(self, variables: Mapping[str, Any]) -> bool:
        """True or False for these variables. Raises ConditionError."""
        try:
            value = self._evaluator(add_budget(variables) if self._uses_macros else variables)
        except MissingField:
            return False
        return require_bool(value)

    def __repr__(self) -> str:
        return f"Condition({self.text!r})"


def compile_condition(text: str, variables: frozenset[str], instants: frozenset[str] = INSTANT_FIELDS) -> CelCondition:
    """The condition that `text` means.

    `variables`: the names it may use. `event` allows every field of event; `event.type`, `event.data` these alone.
    `instants`: the fields that hold microseconds since 1970 and are read as timestamps. Raises ConditionSyntaxError.
    """
    compiler = ConditionCompiler(text, variables, instants)
    evaluator = compiler.compile_root(parse_condition(text))
    return CelCondition(text, evaluator, compiler.uses_macros)
