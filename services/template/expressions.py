"""Translates template expressions to Python expressions: paths, literals, filters, conditions."""

from functools import partial
from typing import Any, Final, NamedTuple

from liquid.builtin.expressions import FilteredExpression, KeywordArgument, Literal, Nil, Path
from liquid.builtin.expressions import filtered as filters
from liquid.builtin.expressions import logical as logic
from liquid.builtin.expressions.primitive import Blank, Empty, RangeLiteral
from liquid.expression import Expression
from liquid.template import BoundTemplate

from services.template import runtime
from services.template.comparisons import BOUNDED, contains
from services.template.engine import BudgetedContext

MAX_NESTING: Final = 16
MAX_FILTERS: Final = 16  # in one chain, and arguments of one filter
PathKeys = tuple[str | int, ...]
_SPECIAL_KEYS: Final = frozenset({"size", "first", "last"})
_COMPARISONS: Final = {
    BOUNDED[kind]: code
    for kind, code in {
        logic.EqExpression: "equal({left}, {right})",
        logic.NeExpression: "(not equal({left}, {right}))",
        logic.LtExpression: "less(None, {left}, {right})",
        logic.GtExpression: "less(None, {right}, {left})",
        logic.LeExpression: "at_most({left}, {right})",
        logic.GeExpression: "at_most({right}, {left})",
        logic.ContainsExpression: "contains(None, {left}, {right})",
    }.items()
}
_CONNECTIVES: Final = {
    logic.LogicalAndExpression: "({left} and {right})",
    logic.LogicalOrExpression: "({left} or {right})",
}
_FORLOOP_FIELDS: Final = {
    "index": "(x{n} + 1)",
    "index0": "x{n}",
    "rindex": "(n{n} - x{n})",
    "rindex0": "(n{n} - x{n} - 1)",
    "first": "(x{n} == 0)",
    "last": "(x{n} == n{n} - 1)",
    "length": "n{n}",
}


class Untranslatable(Exception):
    """The template contains something that is left to python-liquid."""


class EnclosingLoop(NamedTuple):
    """A loop around an expression. Its index, value and length are the variables `i`, `x` and `n` followed by its
    number.
    """

    name: str
    number: int


class ExpressionTranslator:
    """Writes expressions. Every value from the template is bound to a generated name. Raises Untranslatable."""

    def __init__(self, parsed: BoundTemplate, assigned: frozenset[str]) -> None:
        self._env = parsed.env
        self._context = BudgetedContext(parsed)
        self._assigned = assigned
        self.loops: list[EnclosingLoop] = []
        small = runtime.small_operands
        self.names: dict[str, Any] = {
            "find": runtime.lookup, "seek": runtime.indexed_lookup(self._context.get_item), "root": runtime.lookup_root,
            "in_time": runtime.check_deadline, "true": runtime.is_true, "equal": small(logic._eq),
            "less": small(logic._lt), "at_most": small(logic._le), "contains": small(contains),
        }  # fmt: skip

    def bind(self, value: object) -> str:
        """Returns a generated name bound to a value."""
        name = f"c{len(self.names)}"
        self.names[name] = value
        return name

    def translate_value(self, expression: Expression, depth: int = 0) -> str:
        """Returns the expression's value; an undefined or null path becomes python-liquid's own object for it."""
        if depth > MAX_NESTING:
            raise Untranslatable
        if isinstance(expression, Path):
            root, keys = self._split_path(expression)
            missing = self.bind(self._env.undefined(str(expression.path[0]), token=expression.token))
            return f"{self._lookup_name(keys)}({root}, {self.bind(keys)}, {missing})"
        if isinstance(expression, Literal | Nil | Empty | Blank):
            return self.bind(expression.evaluate(self._context))
        if isinstance(expression, FilteredExpression):
            return self._translate_filters(expression)
        if type(expression) in _COMPARISONS or type(expression) in _CONNECTIVES:
            return self.translate_condition(expression, depth)
        raise Untranslatable

    def translate_path(self, expression: Path) -> str:
        """Returns the value at a path; undefined raises one of FALLBACK_ERRORS, or gives None."""
        root, keys = self._split_path(expression)
        if self._lookup_name(keys) == "seek":
            return f"seek({root}, {self.bind(keys)}, None)"
        return root + "".join(f"[{self.bind(key)}]" for key in keys)

    def translate_iterable(self, expression: Expression) -> str:
        """Returns what a loop iterates over."""
        if isinstance(expression, Path):
            return self.translate_path(expression)
        if isinstance(expression, RangeLiteral):
            make = self.bind(expression._make_range)
            return f"{make}({self.translate_value(expression.start)}, {self.translate_value(expression.stop)})"
        return self.translate_value(expression)

    def translate_condition(self, expression: Any, depth: int = 0) -> str:
        """Returns whether a condition holds."""
        expression_type = type(expression)
        if expression_type is logic.BooleanExpression:
            return self.translate_condition(expression.expression, depth)
        if expression_type in _COMPARISONS:
            left, right = (self.translate_value(each, depth + 1) for each in (expression.left, expression.right))
            return _COMPARISONS[expression_type].format(left=left, right=right)
        if expression_type in _CONNECTIVES:
            if depth > MAX_NESTING:
                raise Untranslatable
            left, right = (self.translate_condition(each, depth + 1) for each in (expression.left, expression.right))
            return _CONNECTIVES[expression_type].format(left=left, right=right)
        return f"true({self.translate_value(expression, depth)})"

    def _split_path(self, path: Path) -> tuple[str, PathKeys]:
        name, keys = path.path[0], tuple(key for key in path.path[1:] if not isinstance(key, Path))
        if name == "partial" or not isinstance(name, str) or len(keys) + 1 < len(path.path):
            raise Untranslatable
        for loop in reversed(self.loops):
            if name == loop.name:
                return f"i{loop.number}", keys
            if name == "forloop":
                return self._translate_forloop(loop, keys), ()
        if name in self._assigned:
            return f"root(own, context, {self.bind(name)})", keys
        return f"context[{self.bind(name)}]", keys

    def _translate_forloop(self, loop: EnclosingLoop, keys: PathKeys) -> str:
        match keys:
            case (str(key),) if key in _FORLOOP_FIELDS:
                return _FORLOOP_FIELDS[key].format(n=loop.number)
        raise Untranslatable

    def _lookup_name(self, keys: PathKeys) -> str:
        return "find" if all(isinstance(key, str) and key not in _SPECIAL_KEYS for key in keys) else "seek"

    def _translate_filters(self, expression: FilteredExpression) -> str:
        code, filter_chain = self.translate_value(expression.left), expression.filters or []
        if len(filter_chain) > MAX_FILTERS:
            raise Untranslatable
        for each in filter_chain:
            code = f"{self._bind_filter(each.name)}(in_time({code}, stop){self._translate_arguments(each)})"
        return code

    def _bind_filter(self, name: str) -> str:
        run = self._env.filters.get(name)
        if run is None or getattr(run, "with_context", False):
            raise Untranslatable
        return self.bind(partial(run, environment=self._env) if getattr(run, "with_environment", False) else run)

    def _translate_arguments(self, applied_filter: filters.Filter) -> str:
        if len(applied_filter.args) > MAX_FILTERS:
            raise Untranslatable
        plain = [
            self.translate_value(each.value) for each in applied_filter.args if not isinstance(each, KeywordArgument)
        ]
        named = {
            each.name: self.translate_value(each.value)
            for each in applied_filter.args
            if isinstance(each, KeywordArgument)
        }
        options = ", ".join(f"{self.bind(name)}: {code}" for name, code in named.items())
        return "".join(f", {code}" for code in (*plain, *([f"**{{{options}}}"] if named else ())))
