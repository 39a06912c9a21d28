"""Errors of conditions, and the place in the text where an evaluation failed."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from schemas.evaluation_error import EvaluationError
from services.condition.syntax import line_and_column
from services.condition.tree import Call, Literal, Name, Node, Select


class MissingField(Exception):
    """A field is absent; a condition that ends this way is False. Its argument is `variable`."""

    @property
    def variable(self) -> str | None:
        """The path of the field, where it is written as one."""
        path: str | None = self.args[0]
        return path


class Operand(NamedTuple):
    """An operand as it is written. `variable`: its path, None for what is computed."""

    variable: str | None
    is_literal: bool
    line: int
    column: int


class Site(NamedTuple):
    """A place in the text that may fail: an operator, a function or a macro, with its operands."""

    operation: str
    line: int
    column: int
    operands: tuple[Operand, ...]


class ConditionError(EvaluationError):
    """A condition has no result for these values: a type error, a division by zero, a limit.

    `expected`: the kinds of value that fit, where the kind of one operand is at fault, and `operand` its number.
    """

    def __init__(self, detail: str, *expected: str, operand: int = 0) -> None:
        super().__init__(detail)
        self.detail, self.expected, self._operand = detail, expected, operand
        self._site: Site | None = None
        self._kinds: tuple[str, ...] = ()

    def locate(self, site: Site | None, kinds: Sequence[str]) -> "ConditionError":
        """Notes where it happened, and the kinds of the operands; the innermost place stays."""
        if self._site is None:
            self._site, self._kinds = site, tuple(kinds)
        return self

    def evidence(self) -> dict[str, Any]:
        """`operation`, `line` and `column`; with a wrong kind `variable`, `found` and `expected`, else `problem`."""
        if self._site is None:
            return {"problem": self.detail}
        site = self._site
        if not self.expected or not self._kinds:
            place: Site | Operand = next((each for each in site.operands if each.variable), site)
            variable = None if isinstance(place, Site) else place.variable
            evidence = {"problem": self.detail, "variable": variable, "line": place.line, "column": place.column}
        else:
            evidence = self._kind_evidence(site)
        return {name: value for name, value in {"operation": site.operation, **evidence}.items() if value is not None}

    def _kind_evidence(self, site: Site) -> dict[str, Any]:
        index, expected = self._operand, " or ".join(self.expected)
        if len(self._kinds) == 2 and self.expected == (self._kinds[1 - index],) and index == 0:
            # Of two values that do not fit each other, the literal shows what the author had in mind.
            first, second = site.operands
            if first.is_literal and not second.is_literal:
                index, expected = 1, self._kinds[0]
        operand = site.operands[index]
        place: Site | Operand = operand if operand.variable else site
        return {
            "variable": operand.variable,
            "found": self._kinds[index],
            "expected": expected,
            "line": place.line,
            "column": place.column,
        }


def make_site(source: str, node: Node, operation: str, operands: Sequence[Node]) -> Site:
    """The place of a node."""
    return Site(operation, *line_and_column(source, node.offset), tuple(_operand(source, each) for each in operands))


def _operand(source: str, node: Node) -> Operand:
    return Operand(variable_path(node), isinstance(node, Literal), *line_and_column(source, node.offset))


def variable_path(node: Node) -> str | None:
    """How a variable or a field of it is written, such as `customer.traits.days`; None for anything else."""
    match node:
        case Name(_, name):
            return name
        case Select(_, operand, field, False):
            path = variable_path(operand)
            return None if path is None else f"{path}.{field}"
        case Call(_, "index", _, (operand, Literal(_, key))) if isinstance(key, str | int):
            path = variable_path(operand)
            return None if path is None else f"{path}[{key!r}]"
    return None
