"""Finds what can never be evaluated in a condition, before there is any value: a text where true or false is needed, an
order between kinds that have none, a field of a text, a division by 0, a function that fails for every value.

It is for conditions that are being saved. `compile_condition` is more lenient, because `||` and `&&` forgive an error
on one side and saved conditions may rely on that.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any, Final

from services.condition.closures import EVALUATION_ERRORS
from services.condition.compiler import OPERATORS
from services.condition.condition_error import ConditionError
from services.condition.functions import FUNCTIONS
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
_SAMPLES: Final[Mapping[str, tuple[Any, ...]]] = {
    "text": ("a", "7", "true", "2026-01-31T10:00:00Z", "1h", "Europe/Berlin"),
    "a number": (7, 1.5),
    "bool": (True,),
    "nothing": (None,),
    "a time": (datetime(2026, 1, 31, tzinfo=UTC),),
    "a duration": (timedelta(hours=1),),
    "a list": ([], ["a"]),
    "an object": ({}, {"a": 1}),
}
"""Values of each kind. A function that fails for all of them fails for all values of the kind."""


def check_kinds(source: str, kinds: Mapping[str, str], spellings: Mapping[str, Callable[[str], str]] = {}) -> None:
    """Raises ConditionSyntaxError for what fails with every value. `kinds`: what is known of variables by path.

    `spellings`: the one spelling in which a variable, by its path, has its values; it raises ValueError for what is
    none. To compare with another spelling is refused.
    """
    root = parse_condition(source)
    for node, detail in (*_faults(root, kinds, needs_bool=True), *_misspelt(root, spellings)):
        raise ConditionSyntaxError(*line_and_column(source, node.offset), detail)


def _misspelt(root: Node, spellings: Mapping[str, Callable[[str], str]]) -> Iterator[tuple[Node, str]]:
    """Yields (literal, fault) of each text that a variable never equals."""
    pending = [root]
    while pending:
        node = pending.pop(0)
        pending += _children(node)
        if not isinstance(node, Call) or node.name not in ("==", "!=", "in"):
            continue
        paths = [path for each in node.args if (path := _path_of(each)) in spellings and path is not None]
        items = [item for each in node.args for item in (each.items if isinstance(each, ListLiteral) else (each,))]
        for path, item in product(paths, items):
            if isinstance(item, Literal) and isinstance(item.value, str):
                try:
                    spelling = spellings[path](item.value)
                except ValueError as error:
                    yield item, f"`{path}` is never `{item.value}`, which is {error}"
                else:
                    if spelling != item.value:
                        yield item, f"`{path}` is never `{item.value}`; write `{spelling}`"


def check_constants(source: str, constants: Mapping[str, str]) -> None:
    """Raises ConditionSyntaxError for a condition that is always false because variables always have these values, by
    path. A condition that is false whatever they are says what it means, and passes.
    """
    root = parse_condition(source)
    if _constant(root, constants) is False and _constant(root, {}) is not False:
        known = ", ".join(f"`{path}` is always `{value}`" for path, value in constants.items())
        raise ConditionSyntaxError(*line_and_column(source, root.offset), f"this is never true, because {known}")


_UNKNOWN: Final = object()


def _constant(node: Node, constants: Mapping[str, str]) -> object:
    """The value that a node always has; `_UNKNOWN` where it depends on something else."""
    match node:
        case Literal(_, value):
            return value
        case ListLiteral(_, items):
            values = [_constant(each, constants) for each in items]
            return _UNKNOWN if any(each is _UNKNOWN for each in values) else values
        case LogicalChain(_, short_circuit, items):
            results = [_constant(each, constants) for each in items]
            if any(each is short_circuit for each in results):
                return short_circuit
            return (not short_circuit) if all(each is (not short_circuit) for each in results) else _UNKNOWN
        case Conditional(_, test, then, other):
            chosen = _constant(test, constants)
            return _UNKNOWN if not isinstance(chosen, bool) else _constant(then if chosen else other, constants)
        case Call(_, name, target, args) if name != "index":
            return _call_constant(name, args if target is None else (target, *args), constants)
    return constants.get(_path_of(node) or "", _UNKNOWN)


def _call_constant(name: str, operands: Sequence[Node], constants: Mapping[str, str]) -> object:
    if name == "in" and isinstance(operands[1], MapLiteral):
        return _UNKNOWN
    values = [_constant(each, constants) for each in operands]
    function = OPERATORS.get(name) or FUNCTIONS[name].function
    if any(each is _UNKNOWN for each in values):
        return _UNKNOWN
    try:
        return function(*values)
    except EVALUATION_ERRORS:
        return _UNKNOWN


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
        case Select(_, operand, field):
            if (fault := _field_fault(operand, field, kinds)) is not None:
                yield node, fault
            yield from _faults(operand, kinds, needs_bool=False)
        case Call(_, name, target, args):
            operands = args if target is None else (target, *args)
            if name in _ORDERINGS:
                left, right = (_kind_of(each, kinds) for each in args)
                if left is not None and right is not None and left != right and _SUM not in (left, right):
                    yield node, f"{left} cannot be compared with {right}"
            elif name == "index":
                if isinstance(args[1], Literal) and (fault := _field_fault(args[0], args[1].value, kinds)) is not None:
                    yield node, fault
            elif name != "not" and (fault := _call_fault(name, operands, kinds)) is not None:
                yield node, fault
            for each in operands:
                yield from _faults(each, kinds, needs_bool=name == "not")


def _field_fault(operand: Node, field: object, kinds: Mapping[str, str]) -> str | None:
    """What is wrong with reading a field, or with a literal an item, of what has none."""
    kind = _kind_of(operand, kinds)
    if kind in (None, _SUM) or (kind == "a list" and not isinstance(field, str)):
        return None
    if kind == "an object":
        return None if isinstance(field, str) else "an object has fields, and no positions"
    return f"{_quoted(_path_of(operand))} is {'true or false' if kind == 'bool' else kind}, and has no field `{field}`"


def _call_fault(name: str, operands: tuple[Node, ...], kinds: Mapping[str, str]) -> str | None:
    """What a function says that fails for every value its operands may have, as far as their kinds are known."""
    function = OPERATORS.get(name) or FUNCTIONS[name].function
    choices = [(each.value,) if isinstance(each, Literal) else _samples(_kind_of(each, kinds)) for each in operands]
    error: ConditionError | None = None
    for values in product(*choices):
        try:
            function(*values)
        except ConditionError as failure:
            if error is None or error.detail.startswith("has different kinds"):  # another one says more
                error = failure
        except EVALUATION_ERRORS:
            error = error or ConditionError("cannot take the value")
        else:
            return None
    if error is None:
        return None
    return f"`{name}` fails here for every value: it {error.detail}"


def _samples(kind: str | None) -> tuple[Any, ...]:
    every = tuple(value for values in _SAMPLES.values() for value in values)
    return every if kind is None else _SAMPLES.get(kind, every)


def _quoted(path: str | None) -> str:
    return f"`{path}`" if path else "this"


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
