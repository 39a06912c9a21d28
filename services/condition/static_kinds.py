"""Finds what can never be evaluated in a condition, before there is any value: a text where true or false is needed, or
an order between kinds that have none.

It is for conditions that are being saved. `compile_condition` is more lenient, because `||` and `&&` forgive an error
on one side and saved conditions may rely on that.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from services.condition.syntax import ConditionSyntaxError, line_and_column, parse_condition
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

_ORDERINGS: Final = frozenset({"<", "<=", ">", ">="})
_BOOL_CALLS: Final = frozenset(
    {"==", "!=", *_ORDERINGS, "in", "not", "contains", "startsWith", "endsWith", "matches", "bool"}
)
_SUM: Final = "a sum or difference"
"""Of numbers, texts, lists, times or durations."""
_CALL_KINDS: Final[Mapping[str, str]] = {
    **dict.fromkeys(_BOOL_CALLS, "bool"),
    **dict.fromkeys(("*", "/", "%", "negate", "size", "int", "double"), "a number"),
    "string": "text",
    "timestamp": "a time",
    "duration": "a duration",
    "+": _SUM,
    "-": _SUM,
    **dict.fromkeys(("getFullYear", "getMonth", "getDate", "getDayOfMonth", "getDayOfWeek"), "a number"),
    **dict.fromkeys(("getDayOfYear", "getHours", "getMinutes", "getSeconds", "getMilliseconds"), "a number"),
}
_MACRO_KINDS: Final[Mapping[str, str]] = {
    "exists": "bool",
    "all": "bool",
    "exists_one": "bool",
    "filter": "a list",
    "map": "a list",
}


def check_kinds(source: str, kinds: Mapping[str, str]) -> None:
    """Raises ConditionSyntaxError for what fails with every value. `kinds`: what is known of variables by path."""
    root = parse_condition(source)
    for node, detail in _faults(root, kinds, needs_bool=True):
        raise ConditionSyntaxError(*line_and_column(source, node.offset), detail)


def read_paths(source: str) -> list[tuple[tuple[int, int], str]]:
    """Returns ((line, column), path) of each path that a condition reads, the longest only, in order."""
    found: list[tuple[tuple[int, int], str]] = []
    pending: list[Node] = [parse_condition(source)]
    while pending:
        node = pending.pop(0)
        path = _path_of(node)
        if path is not None and not isinstance(node, Name):
            found.append((line_and_column(source, node.offset), path))
            continue
        pending += _children(node)
    return found


def _children(node: Node) -> list[Node]:
    match node:
        case Select(_, operand):
            return [operand]
        case Call(_, _, target, args):
            return [*args] if target is None else [target, *args]
        case LogicalChain(_, _, items) | ListLiteral(_, items):
            return [*items]
        case Conditional(_, test, then, other):
            return [test, then, other]
        case MapLiteral(_, entries):
            return [part for entry in entries for part in entry]
        case Macro(_, _, collection, _, bodies):
            return [collection, *bodies]
    return []


def _faults(node: Node, kinds: Mapping[str, str], needs_bool: bool) -> Iterator[tuple[Node, str]]:
    """Yields (node, fault). `needs_bool`: the node's value must be true or false."""
    if needs_bool and not isinstance(node, Conditional):
        kind = _kind_of(node, kinds)
        if kind not in (None, "bool"):
            yield node, f"a condition is true or false, this is {kind}"
    match node:
        case LogicalChain(_, _, items):
            for item in items:
                yield from _faults(item, kinds, needs_bool=True)
        case Conditional(_, test, then, other):
            yield from _faults(test, kinds, needs_bool=True)
            yield from _faults(then, kinds, needs_bool)
            yield from _faults(other, kinds, needs_bool)
        case Macro(_, kind, collection, _, bodies):
            yield from _faults(collection, kinds, needs_bool=False)
            for place, body in enumerate(bodies):
                yield from _faults(body, kinds, needs_bool=kind != "map" or place < len(bodies) - 1)
        case Call(_, name, target, args):
            if name in _ORDERINGS:
                left, right = (_kind_of(each, kinds) for each in args)
                if left is not None and right is not None and left != right and _SUM not in (left, right):
                    yield node, f"{left} cannot be compared with {right}"
            for each in args if target is None else (target, *args):
                yield from _faults(each, kinds, needs_bool=name == "not")


def _kind_of(node: Node, kinds: Mapping[str, str]) -> str | None:
    match node:
        case Literal(_, value):
            return _literal_kind(value)
        case Select(_, _, _, True):
            return "bool"
        case Select() | Call(_, "index"):
            return kinds.get(_path_of(node) or "")
        case Call(_, name):
            return _CALL_KINDS.get(name)
        case LogicalChain():
            return "bool"
        case Conditional(_, _, then, other):
            kind = _kind_of(then, kinds)
            return kind if kind == _kind_of(other, kinds) else None
        case ListLiteral():
            return "a list"
        case MapLiteral():
            return "an object"
        case Macro(_, kind):
            return _MACRO_KINDS.get(kind)
    return None


def _literal_kind(value: object) -> str:
    if isinstance(value, bool):
        return "bool"
    return "text" if isinstance(value, str) else "nothing" if value is None else "a number"


def _path_of(node: Node) -> str | None:
    match node:
        case Name(_, name):
            return name
        case Select(_, operand, field):
            parent = _path_of(operand)
            return None if parent is None else f"{parent}.{field}"
        case Call(_, "index", _, (operand, Literal(_, str(field)))):
            parent = _path_of(operand)
            return None if parent is None else f"{parent}.{field}"
    return None
