"""The small changes that are tried on a piece of code, one at a time, on its syntax tree."""

import ast
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

SWAPPED: dict[type[ast.AST], type[Any]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.And: ast.Or,
    ast.Or: ast.And,
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}
RENAMED = {
    "min": "max",
    "max": "min",
    "any": "all",
    "all": "any",
    "bisect_left": "bisect_right",
    "bisect_right": "bisect_left",
}
UNWRAPPED = ("sorted", "reversed", "abs")
SYMMETRIC = ("min", "max")
FOR_PEOPLE = ("repr",)
"""Named arguments that change only what is shown to people."""


def of_expression(node: ast.AST) -> Iterator[ast.AST]:
    """What may stand in place of an expression."""
    match node:
        case ast.Compare(left, ops, comparators):
            for place, op in enumerate(ops):
                yield ast.Compare(left, [*ops[:place], SWAPPED[type(op)](), *ops[place + 1 :]], comparators)
        case ast.BoolOp(op, values):
            if len(values) == 2:
                yield ast.BoolOp(SWAPPED[type(op)](), values)
            for place in range(len(values)):
                rest = [*values[:place], *values[place + 1 :]]
                yield rest[0] if len(rest) == 1 else ast.BoolOp(op, rest)
        case ast.BinOp(left, op, right) if type(op) in SWAPPED:
            yield ast.BinOp(left, SWAPPED[type(op)](), right)
        case ast.UnaryOp(ast.Not() | ast.USub(), operand):
            yield operand
        case ast.IfExp(_, body, orelse):
            yield body
            yield orelse
        case ast.Constant(value):
            yield from map(ast.Constant, _other_values(value))
        case ast.Call():
            yield from _of_call(node)
        case ast.Tuple(elements, ast.Load()):
            for swapped in _neighbours_swapped(elements):
                yield ast.Tuple(swapped, ast.Load())
        case ast.comprehension(target, each, filters, is_async):
            for place in range(len(filters)):
                yield ast.comprehension(target, each, [*filters[:place], *filters[place + 1 :]], is_async)


def of_statement(node: ast.stmt, bound: set[str]) -> Iterator[ast.stmt]:
    """What may stand in place of a statement. `bound`: names that have a value without it."""
    match node:
        case ast.If(test, body, orelse):
            for value in (True, False):
                if not isinstance(test, ast.Constant):
                    yield ast.If(ast.Constant(value), body, orelse)
        case ast.While(_, body, orelse):
            yield ast.While(ast.Constant(False), body, orelse)
        case ast.Return(ast.expr() as value) if not (isinstance(value, ast.Constant) and not value.value):
            yield ast.Return(ast.Constant(None))
        case ast.Expr(ast.Call() | ast.Yield() | ast.YieldFrom()) | ast.AugAssign() | ast.Raise() | ast.Break():
            yield ast.Pass()
        case ast.Continue():
            yield ast.Pass()
            yield ast.Break()
        case ast.Assign(targets) if all(_keeps_a_value(target, bound) for target in targets):
            yield ast.Pass()


def _other_values(value: object) -> Iterator[bool | int | str | bytes]:
    match value:
        case bool():
            yield not value
        case int():
            yield value + 1
            if value:
                yield value - 1
        case str():
            yield value + "?"
        case bytes():
            yield value + b"?"


def _of_call(node: ast.Call) -> Iterator[ast.AST]:
    func, args, keywords = node.func, node.args, node.keywords
    for swapped in () if isinstance(func, ast.Name) and func.id in SYMMETRIC else _neighbours_swapped(args):
        yield ast.Call(func, swapped, keywords)
    for place in [place for place, each in enumerate(keywords) if each.arg not in FOR_PEOPLE]:
        yield ast.Call(func, args, [*keywords[:place], *keywords[place + 1 :]])
    if isinstance(func, ast.Name) and func.id in RENAMED:
        yield ast.Call(ast.Name(RENAMED[func.id], ast.Load()), args, keywords)
    if isinstance(func, ast.Name) and func.id in UNWRAPPED:
        yield args[0]


def _neighbours_swapped(items: list[ast.expr]) -> Iterator[list[ast.expr]]:
    for place, (one, two) in enumerate(pairwise(items)):
        if ast.dump(one) != ast.dump(two):
            yield [*items[:place], two, one, *items[place + 2 :]]


def _keeps_a_value(target: ast.expr, bound: set[str]) -> bool:
    match target:
        case ast.Name(name):
            return name in bound
        case ast.Tuple(elements):
            return all(_keeps_a_value(element, bound) for element in elements)
    return True
