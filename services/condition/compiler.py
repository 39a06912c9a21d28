"""From a syntax tree to one closure. Names, functions and their arguments are checked on the way."""

import operator
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Final, NoReturn

from services.condition import closures, macros, values
from services.condition.closures import Function, Run
from services.condition.functions import FUNCTIONS, Signature, invert, negate, pattern
from services.condition.syntax import ConditionSyntaxError, place
from services.condition.tree import Call, Chain, Choice, ListOf, Literal, Macro, MapOf, Name, Node, Select
from services.condition.values import ConditionError

MAX_HEIGHT: Final = 64  # levels of the tree

_OPERATORS: Final[dict[str, Function]] = {
    "==": values.equal,
    "!=": lambda a, b: not values.equal(a, b),
    "<": values.ordering(operator.lt),
    "<=": values.ordering(operator.le),
    ">": values.ordering(operator.gt),
    ">=": values.ordering(operator.ge),
    "in": values.contained,
    "index": values.index,
    "+": values.add,
    "-": values.subtract,
    "*": values.multiply,
    "/": values.divide,
    "%": values.remainder,
    "not": invert,
    "negate": negate,
}
_NEVER_BOOL: Final = frozenset(
    ("+", "-", "*", "/", "%", "negate", "size", "int", "double", "string", "timestamp", "duration"),
)


class Compiler:
    """Compiles the nodes of one condition. After `compile`, `uses_macros` says whether it needs a budget."""

    def __init__(self, source: str, variables: frozenset[str], instants: frozenset[str]) -> None:
        self.source, self.instants = source, instants
        self.roots: dict[str, set[str]] = {}  # root -> its fields; none named: any
        for root, _, field in (name.partition(".") for name in variables):
            self.roots.setdefault(root, set()).update([field] if field else ())
        self.scope: tuple[str, ...] = ()
        self.height = 0
        self.uses_macros = False

    def fail(self, node: Node, detail: str) -> NoReturn:
        raise ConditionSyntaxError(*place(self.source, node.at), detail)

    def root(self, node: Node) -> Run:
        """The whole condition; what can never be a bool is refused."""
        literal = isinstance(node, Literal) and not isinstance(node.value, bool)
        if literal or isinstance(node, ListOf | MapOf) or (isinstance(node, Call) and node.name in _NEVER_BOOL):
            self.fail(node, "a condition is true or false, this is neither")
        return self.compile(node)

    def compile(self, node: Node) -> Run:
        """The closure of a node. Raises ConditionSyntaxError."""
        self.height += 1
        if self.height > MAX_HEIGHT:
            self.fail(node, f"the condition is deeper than {MAX_HEIGHT} levels")
        run = self._compile(node)
        self.height -= 1
        return run

    def _compile(self, node: Node) -> Run:
        match node:
            case Literal(_, value):
                return closures.constant(value)
            case Name():
                return self.name(node)
            case Select():
                return self.select(node)
            case Call():
                return self.call(node)
            case Chain(_, decides, items):
                return closures.chain(decides, self.each(items))
            case Choice(_, test, then, other):
                return closures.choice(self.compile(test), self.compile(then), self.compile(other))
            case ListOf(_, items):
                return closures.every(list, self.each(items))
            case MapOf(_, entries):
                return closures.every(closures.map_of, self.each(part for entry in entries for part in entry))
            case Macro():
                return self.macro(node)
        raise AssertionError(f"unknown node {type(node).__name__}")

    def each(self, nodes: Iterable[Node]) -> tuple[Run, ...]:
        return tuple(map(self.compile, nodes))

    def name(self, node: Name) -> Run:
        if node.name in self.scope:
            return closures.bound(node.name)
        if node.name not in self.roots:
            self.fail(node, f"unknown name `{node.name}`{_hint(node.name, (*self.roots, *self.scope))}")
        dotted = (path.partition(".") for path in self.instants)
        fields = self.roots[node.name] or {field for root, _, field in dotted if root == node.name}
        if fields:
            self.fail(node, f"name a field of `{node.name}`, as in `{node.name}.{min(fields)}`")
        return closures.variable(node.name)

    def select(self, node: Select) -> Run:
        make = closures.has if node.test else closures.select
        if not isinstance(node.of, Name) or node.of.name in self.scope or node.of.name not in self.roots:
            return make(self.compile(node.of), node.field)
        root, fields = node.of.name, self.roots[node.of.name]
        if fields and node.field not in fields:
            self.fail(node, f"`{root}` has no field `{node.field}`{_hint(node.field, fields)}")
        run = make(closures.variable(root), node.field)
        return closures.instant(run) if f"{root}.{node.field}" in self.instants and not node.test else run

    def call(self, node: Call) -> Run:
        match node:
            case Call(_, "index", _, (Name() as of, Literal(at, str(field)))):
                return self.select(Select(at, of, field))
            case Call(_, name, _, args) if name in _OPERATORS:
                return self.strict(_OPERATORS[name], args)
        signature = FUNCTIONS.get(node.name)
        if signature is None:
            self.fail(node, f"unknown function `{node.name}`{_hint(node.name, FUNCTIONS)}")
        args = node.args if node.target is None else (node.target, *node.args)
        self.check(node, signature, len(args))
        if node.name == "matches":
            return self.strict(self.search(args[1]), args[:1])
        return self.strict(signature.run, args)

    def check(self, node: Call, signature: Signature, count: int) -> None:
        if not (signature.plain if node.target is None else signature.method):
            self.fail(node, f"write {'value.' if node.target is None else ''}{node.name}(...)")
        if not signature.least <= count <= signature.most:
            self.fail(node, f"wrong number of arguments for {node.name}()")

    def search(self, node: Node) -> Function:
        if not isinstance(node, Literal) or not isinstance(node.value, str):
            self.fail(node, "the pattern of matches() is a text in quotes")
        try:
            return pattern(node.value)
        except ValueError as error:
            self.fail(node, str(error))

    def strict(self, function: Function, args: tuple[Node, ...]) -> Run:
        """A function that needs all its values. Constants are worked out once; what fails then fails when evaluated."""
        runs = self.each(args)
        if self.scope:
            return macros.weighed(function, runs)
        run = closures.one(function, *runs) if len(runs) == 1 else closures.both(function, *runs)
        if not all(isinstance(arg, Literal) for arg in args):
            return run
        try:
            return closures.constant(run({}))
        except ConditionError:
            return run

    def macro(self, node: Macro) -> Run:
        self.uses_macros = True
        over, outer = self.compile(node.over), self.scope
        self.scope = (*outer, node.variable)
        steps = self.each(node.steps)
        self.scope = outer
        match node.kind:
            case "exists" | "all":
                return macros.quantified(node.kind == "exists", over, node.variable, steps[0])
            case "map":
                return macros.collected(over, node.variable, steps[0] if len(steps) == 2 else None, steps[-1])
        found = macros.collected(over, node.variable, steps[0], None)
        return found if node.kind == "filter" else closures.one(lambda kept: len(kept) == 1, found)


def _hint(word: str, known: Iterable[str]) -> str:
    near = get_close_matches(word, list(known), 1)
    return f", did you mean `{near[0]}`?" if near else ""
