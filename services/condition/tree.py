"""The syntax tree of a condition. `at` is the offset of a node in the source."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Node:
    at: int


@dataclass(frozen=True, slots=True)
class Literal(Node):
    value: object


@dataclass(frozen=True, slots=True)
class Name(Node):
    name: str


@dataclass(frozen=True, slots=True)
class Select(Node):
    of: Node
    field: str
    test: bool = False  # inside has()


@dataclass(frozen=True, slots=True)
class Call(Node):
    """An operator or a function; `target` is what stands before the dot."""

    name: str
    target: Node | None
    args: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Chain(Node):
    """`a || b || c` (`decides` True) or `a && b && c` (`decides` False)."""

    decides: bool
    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Choice(Node):
    test: Node
    then: Node
    other: Node


@dataclass(frozen=True, slots=True)
class ListOf(Node):
    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class MapOf(Node):
    entries: tuple[tuple[Node, Node], ...]


@dataclass(frozen=True, slots=True)
class Macro(Node):
    kind: str
    over: Node
    variable: str
    steps: tuple[Node, ...]
