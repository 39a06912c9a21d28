"""Compiles a syntax tree to one closure, checking names, functions and argument counts."""

import operator
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Final, NoReturn

from services.condition import budget, closures, macros, values
from services.condition.closures import Evaluator, Function
from services.condition.condition_error import ConditionError, Site, make_site, variable_path
from services.condition.functions import FUNCTIONS, FunctionSignature, compile_pattern, logical_not, negate
from services.condition.syntax import ConditionSyntaxError, line_and_column
from services.condition.tree import (
    Call,
    Conditional,
    ListLiteral,
    Literal,
    LogicalChain,
    Macro,
    MapLiteral,
    Name,
    Node,
    Select,
)

MAX_DEPTH: Final = 64  # levels of the tree

OPERATORS: Final[dict[str, Function]] = {
    "==": values.equal,
    "!=": values.unequal,
    "<": values.comparison(operator.lt),
    "<=": values.comparison(operator.le),
    ">": values.comparison(operator.gt),
    ">=": values.comparison(operator.ge),
    "in": values.is_in,
    "index": values.index,
    "+": values.add,
    "-": values.subtract,
    "*": values.multiply,
    "/": values.divide,
    "%": values.remainder,
    "not": logical_not,
    "negate": negate,
}
_SIGNS: Final = {"not": "!", "negate": "-", "index": "[]"}
"""Names of operators in the tree that are not how they are written."""
_BOUNDED: Final = frozenset({values.subtract, values.multiply, values.divide, values.remainder, logical_not, negate})
"""Functions whose time does not depend on their operands."""
_BOUNDED_BY_LITERAL: Final = frozenset({"==", "!=", "<", "<=", ">", ">="})
"""Operators that look no further into the other side than a literal reaches."""
_NON_BOOL_CALLS: Final = frozenset(
    ("+", "-", "*", "/", "%", "negate", "size", "int", "double", "string", "timestamp", "duration"),
)


class ConditionCompiler:
    """Compiles the nodes of one condition. After `compile_root`, `needs_budget` tells whether an evaluation does."""

    def __init__(self, source: str, variables: frozenset[str], instants: frozenset[str]) -> None:
        self.source, self.instants = source, instants
        self.root_fields: dict[str, set[str]] = {}  # root -> its fields; none named: any
        for root, _, field in (name.partition(".") for name in variables):
            self.root_fields.setdefault(root, set()).update([field] if field else ())
        self.scope: tuple[str, ...] = ()
        self.depth = 0
        self.nodes = 0
        self.needs_budget = False

    def fail(self, node: Node, detail: str) -> NoReturn:
        raise ConditionSyntaxError(*line_and_column(self.source, node.offset), detail)

    def compile_root(self, node: Node) -> Evaluator:
        """Compiles the whole condition; refuses what can never be a bool."""
        literal = isinstance(node, Literal) and not isinstance(node.value, bool)
        if (
            literal
            or isinstance(node, ListLiteral | MapLiteral)
            or (isinstance(node, Call) and node.name in _NON_BOOL_CALLS)
        ):
            self.fail(node, "a condition is true or false, this is neither")
        return self.compile_node(node)

    def compile_node(self, node: Node) -> Evaluator:
        """Compiles a node. Raises ConditionSyntaxError."""
        self.depth += 1
        self.nodes += 1
        if self.depth > MAX_DEPTH:
            self.fail(node, f"the condition is deeper than {MAX_DEPTH} levels")
        evaluator = self._compile_by_type(node)
        self.depth -= 1
        return evaluator

    def _compile_by_type(self, node: Node) -> Evaluator:
        match node:
            case Literal(_, value):
                return closures.constant(value)
            case Name():
                return self.compile_name(node)
            case Select():
                return self.compile_select(node)
            case Call():
                return self.compile_call(node)
            case LogicalChain(_, short_circuit, items):
                sites = tuple(self.site(item, "||" if short_circuit else "&&", item) for item in items)
                return closures.logical_chain(short_circuit, self.compile_nodes(items), sites)
            case Conditional(_, test, then, other):
                chosen, otherwise = self.compile_node(then), self.compile_node(other)
                return closures.conditional(self.compile_node(test), chosen, otherwise, self.site(node, "?", test))
            case ListLiteral(_, items):
                return closures.variadic(list, self.compile_nodes(items), self.site(node, "[]"))
            case MapLiteral(_, entries):
                parts = self.compile_nodes(part for entry in entries for part in entry)
                return closures.variadic(closures.build_map, parts, self.site(node, "{}"))
            case Macro():
                return self.compile_macro(node)
        raise AssertionError(f"unknown node {type(node).__name__}")

    def compile_nodes(self, nodes: Iterable[Node]) -> tuple[Evaluator, ...]:
        return tuple(map(self.compile_node, nodes))

    def site(self, node: Node, operation: str, *operands: Node) -> Site:
        """The place of a node, for errors of its evaluation."""
        return make_site(self.source, node, operation, operands)

    def compile_name(self, node: Name) -> Evaluator:
        if node.name in self.scope:
            return closures.macro_variable(node.name)
        if node.name not in self.root_fields:
            self.fail(node, f"unknown name `{node.name}`{_suggestion(node.name, (*self.root_fields, *self.scope))}")
        dotted = (path.partition(".") for path in self.instants)
        fields = self.root_fields[node.name] or {field for root, _, field in dotted if root == node.name}
        if fields:
            self.fail(node, f"name a field of `{node.name}`, as in `{node.name}.{min(fields)}`")
        return closures.caller_variable(node.name)

    def compile_select(self, node: Select) -> Evaluator:
        make = closures.field_presence if node.is_presence_test else closures.field_value
        if (
            not isinstance(node.operand, Name)
            or node.operand.name in self.scope
            or node.operand.name not in self.root_fields
        ):
            return make(self.compile_node(node.operand), node.field, variable_path(node), self.select_site(node))
        root, fields = node.operand.name, self.root_fields[node.operand.name]
        if fields and node.field not in fields:
            self.fail(node, f"`{root}` has no field `{node.field}`{_suggestion(node.field, fields)}")
        evaluator = make(closures.caller_variable(root), node.field, variable_path(node), self.select_site(node))
        return (
            closures.timestamp(evaluator, self.site(node, "timestamp", node))
            if f"{root}.{node.field}" in self.instants and not node.is_presence_test
            else evaluator
        )

    def select_site(self, node: Select) -> Site:
        return self.site(node, f".{node.field}", node.operand)

    def compile_call(self, node: Call) -> Evaluator:
        match node:
            case Call(_, "index", _, (Name() as operand, Literal(offset, str(field)))):
                return self.compile_select(Select(offset, operand, field))
            case Call(_, name, _, args) if name in OPERATORS:
                sign = _SIGNS.get(name, name)
                bounded = name in _BOUNDED_BY_LITERAL and any(isinstance(arg, Literal) for arg in args)
                bounded = bounded or (name == "in" and _is_list_of_literals(args[1]))
                return self.compile_strict(OPERATORS[name], args, self.site(node, sign, *args), bounded=bounded)
        signature = FUNCTIONS.get(node.name)
        if signature is None:
            self.fail(node, f"unknown function `{node.name}`{_suggestion(node.name, FUNCTIONS)}")
        args = node.args if node.target is None else (node.target, *node.args)
        self.check_arguments(node, signature, len(args))
        if node.name == "matches":
            return self.compile_strict(self.compile_search(args[1]), args[:1], self.site(node, "matches()", args[0]))
        return self.compile_strict(signature.function, args, self.site(node, f"{node.name}()", *args))

    def check_arguments(self, node: Call, signature: FunctionSignature, count: int) -> None:
        if not (signature.as_function if node.target is None else signature.as_method):
            self.fail(node, f"write {'value.' if node.target is None else ''}{node.name}(...)")
        if not signature.min_args <= count <= signature.max_args:
            self.fail(node, f"wrong number of arguments for {node.name}()")

    def compile_search(self, node: Node) -> Function:
        if not isinstance(node, Literal) or not isinstance(node.value, str):
            self.fail(node, "the pattern of matches() is a text in quotes")
        try:
            return compile_pattern(node.value)
        except ValueError as error:
            self.fail(node, str(error))

    def compile_strict(
        self, function: Function, args: tuple[Node, ...], site: Site, *, bounded: bool = False
    ) -> Evaluator:
        """Compiles a function that needs all its operands. Constants are evaluated once; an error in them is raised at
        evaluation. `bounded`: the text of the condition bounds its time.
        """
        evaluators = self.compile_nodes(args)
        constant = all(isinstance(arg, Literal) for arg in args)
        if not (constant or bounded or function in _BOUNDED):
            self.needs_budget = True
            return budget.paid_call(function, evaluators, site)
        evaluator = (
            closures.unary(function, evaluators[0], site)
            if len(evaluators) == 1
            else closures.binary(function, evaluators[0], evaluators[1], site)
        )
        if not constant:
            return evaluator
        try:
            return closures.constant(evaluator({}))
        except ConditionError:
            return evaluator

    def compile_macro(self, node: Macro) -> Evaluator:
        self.needs_budget = True
        collection, outer = self.compile_node(node.collection), self.scope
        self.scope = (*outer, node.variable)
        nodes_before = self.nodes
        steps = self.compile_nodes(node.bodies)
        price = 1 + (self.nodes - nodes_before) // budget.NODES_OF_A_STEP
        self.scope = outer
        site, test = self.site(node, f"{node.kind}()", node.collection), node.bodies[0]
        test_site = self.site(test, f"{node.kind}()", test)
        match node.kind:
            case "exists" | "all":
                exists = node.kind == "exists"
                return macros.quantifier(exists, collection, node.variable, steps[0], price, site, test_site)
            case "map":
                keep = steps[0] if len(steps) == 2 else None
                return macros.comprehension(collection, node.variable, keep, steps[-1], price, site, test_site)
        found = macros.comprehension(collection, node.variable, steps[0], None, price, site, test_site)
        return found if node.kind == "filter" else closures.unary(lambda kept: len(kept) == 1, found, site)


def _is_list_of_literals(node: Node) -> bool:
    return isinstance(node, ListLiteral) and all(isinstance(item, Literal) for item in node.items)


def _suggestion(word: str, known: Iterable[str]) -> str:
    near = get_close_matches(word, list(known), 1)
    return f", did you mean `{near[0]}`?" if near else ""
