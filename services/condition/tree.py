"""Nodes of the syntax tree. `offset` is a node's position in the source."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Node:
    offset: int


@dataclass(frozen=True, slots=True)
class Literal(Node):
    value: object


@dataclass(frozen=True, slots=True)
class Name(Node):
    name: str


@dataclass(frozen=True, slots=True)
class Select(Node):
    operand: Node
    field: str
    is_presence_test: bool = False  # inside has()


@dataclass(frozen=True, slots=True)
class Call(Node):
    """An operator or function call; `target` is the operand before the dot."""

    name: str
    target: Node | None
    args: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class LogicalChain(Node):
    """`a || b || c` (`decides` True) or `a && b && c` (`decides` False)."""

    short_circuit: bool
    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Conditional(Node):
    test: Node
    then: Node
    other: Node


@dataclass(frozen=True, slots=True)
class ListLiteral(Node):
    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class MapLiteral(Node):
    entries: tuple[tuple[Node, Node], ...]


@dataclass(frozen=True, slots=True)
class Macro(Node):
    kind: str
    collection: Node
    variable: str
    bodies: tuple[Node, ...]
