"""A small part of CEL: paths, literals, comparisons, `&&`, `||`, `!`, `has()` and parentheses."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from enum import Enum
from typing import Any

TOKEN = re.compile(r'\s*("[^"]*"|-?\d+(?:\.\d+)?|[A-Za-z_][\w.]*|&&|\|\||[!=<>]=|[<>!()])')
LITERALS = {"true": True, "false": False}


class Error(Enum):
    """What an evaluation may end in besides a value."""

    MISSING = "missing"
    BROKEN = "broken"


def holds(text: str, variables: Mapping[str, Any]) -> bool | None:
    """Whether the condition is true; a missing field makes it false; None is any other error."""
    result = Reader(TOKEN.findall(text), variables).either()
    if result is Error.MISSING:
        return False
    return result if isinstance(result, bool) else None


class Reader:
    """Evaluates while it reads. No branch is skipped, as errors are values."""

    def __init__(self, tokens: list[str], variables: Mapping[str, Any]) -> None:
        self.tokens = tokens
        self.variables = variables

    def either(self) -> Any:
        value = self.both()
        while self.accept("||"):
            value = joined(value, self.both(), deciding=True)
        return value

    def both(self) -> Any:
        value = self.comparison()
        while self.accept("&&"):
            value = joined(value, self.comparison(), deciding=False)
        return value

    def comparison(self) -> Any:
        left = self.single()
        if self.tokens and self.tokens[0] in ("==", "!=", "<", "<=", ">", ">="):
            return compared(self.tokens.pop(0), left, self.single())
        return left

    def single(self) -> Any:
        if self.accept("!"):
            value = self.single()
            return value if isinstance(value, Error) else not value if isinstance(value, bool) else Error.BROKEN
        if self.accept("("):
            value = self.either()
            self.tokens.pop(0)
            return value
        token = self.tokens.pop(0)
        if token == "has":
            path = self.tokens[1]
            del self.tokens[:3]
            return present(path, self.variables)
        if token in LITERALS:
            return LITERALS[token]
        return json.loads(token) if token[0] in '"-0123456789' else found(token, self.variables)

    def accept(self, token: str) -> bool:
        if self.tokens and self.tokens[0] == token:
            self.tokens.pop(0)
            return True
        return False


def found(path: str, variables: Mapping[str, Any]) -> Any:
    """The value at a dotted path; a null is absent."""
    value: Any = variables
    for name in path.split("."):
        if not isinstance(value, Mapping):
            return Error.BROKEN
        value = value.get(name)
        if value is None:
            return Error.MISSING
    return value


def present(path: str, variables: Mapping[str, Any]) -> Any:
    """`has(path)`: its parent must be there."""
    parent, name = path.rsplit(".", 1)
    holder = found(parent, variables)
    if isinstance(holder, Error):
        return holder
    return holder.get(name) is not None if isinstance(holder, Mapping) else Error.BROKEN


def joined(left: Any, right: Any, deciding: bool) -> Any:
    """`||` with deciding True, `&&` with deciding False."""
    sides = [side if isinstance(side, (bool, Error)) else Error.BROKEN for side in (left, right)]
    for answer in (deciding, Error.BROKEN, Error.MISSING):
        if any(side is answer for side in sides):
            return answer
    return not deciding


def compared(operator: str, left: Any, right: Any) -> Any:
    """Numbers compare by value; values of different kinds are unequal and have no order."""
    for error in (Error.BROKEN, Error.MISSING):
        if error in (left, right):
            return error
    if operator in ("==", "!="):
        return same(left, right) == (operator == "==")
    if kind(left) != kind(right) or kind(left) not in ("number", "text", "boolean"):
        return Error.BROKEN
    return {"<": left < right, "<=": left <= right, ">": left > right, ">=": left >= right}[operator]


def same(left: Any, right: Any) -> bool:
    """Equality of JSON values: 1 is 1.0, but not true."""
    if kind(left) != kind(right):
        return False
    if isinstance(left, list):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(same(left[name], right[name]) for name in left)
    return bool(left == right)


def kind(value: Any) -> str:
    """What JSON calls the value."""
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, (int, float)):
        return "number"
    return {str: "text", list: "list", dict: "object", type(None): "null"}[type(value)]
