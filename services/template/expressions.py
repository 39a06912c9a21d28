"""The expressions of templates as Python expressions: paths, literals, filters, conditions."""

from functools import partial
from typing import Any, Final, NamedTuple

from liquid.builtin.expressions import FilteredExpression, KeywordArgument, Literal, Nil, Path
from liquid.builtin.expressions import filtered as filters
from liquid.builtin.expressions import logical as logic
from liquid.builtin.expressions.primitive import Blank, Empty, RangeLiteral
from liquid.expression import Expression
from liquid.template import BoundTemplate

from services.template import runtime
from services.template.engine import Budgeted

MAX_NESTED: Final = 16
MAX_FILTERS: Final = 16  # in one chain, and arguments of one filter
Keys = tuple[str | int, ...]
_SPECIAL: Final = frozenset({"size", "first", "last"})
_COMPARED: Final = {
    logic.EqExpression: "equal({left}, {right})",
    logic.NeExpression: "(not equal({left}, {right}))",
    logic.LtExpression: "less(None, {left}, {right})",
    logic.GtExpression: "less(None, {right}, {left})",
    logic.LeExpression: "at_most({left}, {right})",
    logic.GeExpression: "at_most({right}, {left})",
    logic.ContainsExpression: "contains(None, {left}, {right})",
}
_JOINED: Final = {logic.LogicalAndExpression: "({left} and {right})", logic.LogicalOrExpression: "({left} or {right})"}
_FORLOOP: Final = {
    "index": "(x{n} + 1)",
    "index0": "x{n}",
    "rindex": "(n{n} - x{n})",
    "rindex0": "(n{n} - x{n} - 1)",
    "first": "(x{n} == 0)",
    "last": "(x{n} == n{n} - 1)",
    "length": "n{n}",
}


class Untranslatable(Exception):
    """The template holds what is left to python-liquid."""


class Loop(NamedTuple):
    """A loop around an expression. Its values, index, and length are `i`, `x` and `n` with its number."""

    name: str
    number: int


class Expressions:
    """Writes expressions; whatever they hold is bound to counted names. Raises Untranslatable."""

    def __init__(self, parsed: BoundTemplate, assigned: frozenset[str]) -> None:
        self._env = parsed.env
        self._engine = Budgeted(parsed)
        self._assigned = assigned
        self.loops: list[Loop] = []
        self.names: dict[str, Any] = {
            "find": runtime.find, "seek": runtime.seek(self._engine.get_item), "root": runtime.root,
            "in_time": runtime.in_time,
            "true": runtime.true, "equal": logic._eq, "less": logic._lt, "at_most": logic._le,
            "contains": logic._contains,
        }  # fmt: skip

    def bind(self, value: object) -> str:
        """A name for a value."""
        name = f"c{len(self.names)}"
        self.names[name] = value
        return name

    def value(self, expression: Expression, nested: int = 0) -> str:
        """What the expression is worth; an undefined or null path is python-liquid's own object for it."""
        if nested > MAX_NESTED:
            raise Untranslatable
        if isinstance(expression, Path):
            root, keys = self._path(expression)
            missing = self.bind(self._env.undefined(str(expression.path[0]), token=expression.token))
            return f"{self._finder(keys)}({root}, {self.bind(keys)}, {missing})"
        if isinstance(expression, Literal | Nil | Empty | Blank):
            return self.bind(expression.evaluate(self._engine))
        if isinstance(expression, FilteredExpression):
            return self._filtered(expression)
        if type(expression) in _COMPARED or type(expression) in _JOINED:
            return self.test(expression, nested)
        raise Untranslatable

    def path(self, expression: Path) -> str:
        """The value at a path; what is undefined raises one of DOUBTS, or is None."""
        root, keys = self._path(expression)
        if self._finder(keys) == "seek":
            return f"seek({root}, {self.bind(keys)}, None)"
        return root + "".join(f"[{self.bind(key)}]" for key in keys)

    def iterable(self, expression: Expression) -> str:
        """What a loop goes through."""
        if isinstance(expression, Path):
            return self.path(expression)
        if isinstance(expression, RangeLiteral):
            make = self.bind(expression._make_range)
            return f"{make}({self.value(expression.start)}, {self.value(expression.stop)})"
        return self.value(expression)

    def test(self, expression: Any, nested: int = 0) -> str:
        """Whether a condition holds."""
        kind = type(expression)
        if kind is logic.BooleanExpression:
            return self.test(expression.expression, nested)
        if kind in _COMPARED:
            left, right = (self.value(each, nested + 1) for each in (expression.left, expression.right))
            return _COMPARED[kind].format(left=left, right=right)
        if kind in _JOINED:
            if nested > MAX_NESTED:
                raise Untranslatable
            left, right = (self.test(each, nested + 1) for each in (expression.left, expression.right))
            return _JOINED[kind].format(left=left, right=right)
        return f"true({self.value(expression, nested)})"

    def _path(self, path: Path) -> tuple[str, Keys]:
        name, keys = path.path[0], tuple(key for key in path.path[1:] if not isinstance(key, Path))
        if name == "partial" or not isinstance(name, str) or len(keys) + 1 < len(path.path):
            raise Untranslatable
        for loop in reversed(self.loops):
            if name == loop.name:
                return f"i{loop.number}", keys
            if name == "forloop":
                return self._forloop(loop, keys), ()
        if name in self._assigned:
            return f"root(own, context, {self.bind(name)})", keys
        return f"context[{self.bind(name)}]", keys

    def _forloop(self, loop: Loop, keys: Keys) -> str:
        match keys:
            case (str(key),) if key in _FORLOOP:
                return _FORLOOP[key].format(n=loop.number)
        raise Untranslatable

    def _finder(self, keys: Keys) -> str:
        return "find" if all(isinstance(key, str) and key not in _SPECIAL for key in keys) else "seek"

    def _filtered(self, expression: FilteredExpression) -> str:
        code, chain = self.value(expression.left), expression.filters or []
        if len(chain) > MAX_FILTERS:
            raise Untranslatable
        for each in chain:
            code = f"{self._filter(each.name)}(in_time({code}, stop){self._arguments(each)})"
        return code

    def _filter(self, name: str) -> str:
        run = self._env.filters.get(name)
        if run is None or getattr(run, "with_context", False):
            raise Untranslatable
        return self.bind(partial(run, environment=self._env) if getattr(run, "with_environment", False) else run)

    def _arguments(self, used: filters.Filter) -> str:
        if len(used.args) > MAX_FILTERS:
            raise Untranslatable
        plain = [self.value(each.value) for each in used.args if not isinstance(each, KeywordArgument)]
        named = {each.name: self.value(each.value) for each in used.args if isinstance(each, KeywordArgument)}
        options = ", ".join(f"{self.bind(name)}: {code}" for name, code in named.items())
        return "".join(f", {code}" for code in (*plain, *([f"**{{{options}}}"] if named else ())))
