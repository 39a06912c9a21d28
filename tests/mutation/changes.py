"""Finds every place of a source that can be changed, except texts for people and annotations for the type checker."""

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import takewhile

from tests.mutation.operators import FOR_PEOPLE, of_expression, of_statement

UNTOUCHED = {
    (ast.FunctionDef, "decorator_list"),
    (ast.FunctionDef, "returns"),
    (ast.AsyncFunctionDef, "decorator_list"),
    (ast.AsyncFunctionDef, "returns"),
    (ast.ClassDef, "bases"),
    (ast.ClassDef, "keywords"),
    (ast.ClassDef, "decorator_list"),
    (ast.arg, "annotation"),
    (ast.AnnAssign, "annotation"),
    (ast.Raise, "exc"),
    (ast.Assert, "msg"),
}
"""Annotations, arguments of decorators (sizes of caches), texts of errors."""
OF_TYPES = {"Literal", "Callable", "tuple", "TypeVar"}
MOST_ALIKE, SOME_ALIKE = 40, 20
FUNCTION = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Change:
    """One change of a source. Two with the same texts in one function are told apart by `nth`."""

    line: int
    function: str
    before: str
    after: str
    nth: int
    owner: ast.AST = field(repr=False, compare=False)
    attribute: str = field(repr=False, compare=False)
    place: int | None = field(repr=False, compare=False)
    new: ast.AST = field(repr=False, compare=False)

    @property
    def name(self) -> str:
        """The function and the change, without the line, so that the name survives moves."""
        again = f" ({self.nth})" if self.nth > 1 else ""
        return f"{self.function}: {self.before} -> {self.after}{again}"

    def apply(self) -> None:
        """Make the change in the tree it was found in."""
        if self.place is None:
            setattr(self.owner, self.attribute, self.new)
        else:
            getattr(self.owner, self.attribute)[self.place] = self.new


def changes(tree: ast.Module) -> list[Change]:
    """All changes of a module, in order of its text."""
    found: list[Change] = []
    seen: dict[tuple[str, str, str], int] = {}
    for function, line, owner, name, place, old, new in _sites(tree, "module", set()):
        before, after = _shortened(_text(old), _text(new))
        if before == after:
            continue
        nth = seen[function, before, after] = seen.get((function, before, after), 0) + 1
        found.append(Change(line, function, before, after, nth, owner, name, place, new))
    return found


_Site = tuple[str, int, ast.AST, str, int | None, ast.AST, ast.AST]


def _sites(node: ast.AST, function: str, bound: set[str]) -> Iterator[_Site]:
    if isinstance(node, FUNCTION | ast.ClassDef):
        function = node.name if function == "module" else f"{function}.{node.name}"
    if isinstance(node, FUNCTION):
        bound = {each.arg for each in ast.walk(node.args) if isinstance(each, ast.arg)}
    for name, value in ast.iter_fields(node):
        if (type(node), name) in UNTOUCHED:
            continue
        children: Sequence[object] = value if isinstance(value, list) else (value,)
        for place, child in enumerate(children):
            if not isinstance(child, ast.AST) or _is_told(child):
                continue
            line = getattr(child, "lineno", getattr(node, "lineno", 0))
            news = of_statement(child, bound) if isinstance(child, ast.stmt) else of_expression(child)
            if _is_tried_whole(node, name, child):
                news = iter(())
            for new in news:
                yield function, line, node, name, place if isinstance(value, list) else None, child, new
            yield from _sites(child, function, bound)
            bound |= {each.id for each in ast.walk(child) if _is_bound(child, each) and isinstance(each, ast.Name)}


def _is_tried_whole(parent: ast.AST, name: str, node: ast.AST) -> bool:
    """Whether what stands above it takes both its values already, or its order means nothing."""
    match node:
        case ast.Compare(ops=[ast.Eq() | ast.NotEq() | ast.Is() | ast.IsNot() | ast.In() | ast.NotIn()]):
            return name == "test" or isinstance(parent, ast.BoolOp | ast.comprehension)
        case ast.UnaryOp(ast.Not()):
            return name == "test"
        case ast.Tuple():
            several = isinstance(parent, ast.Assign) and isinstance(parent.targets[0], ast.Tuple)
            return several or isinstance(parent, ast.ExceptHandler | ast.Compare)
    return False


def _is_bound(statement: ast.AST, node: ast.AST) -> bool:
    straight = ast.Assign | ast.AnnAssign | ast.AugAssign
    return isinstance(statement, straight) and isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)


def _is_told(node: ast.AST) -> bool:
    """Whether it is there for people or the type checker: docstrings, aliases of types, protocols, overloads."""
    match node:
        case ast.Expr(ast.Constant()) | ast.Import() | ast.ImportFrom():
            return True
        case ast.keyword(arg):
            return arg in FOR_PEOPLE
        case ast.Assign(_, ast.Subscript(ast.Name(name)) | ast.Call(ast.Name(name))):
            return name in OF_TYPES
        case ast.Assign([ast.Name("__slots__")]):
            return True
        case ast.ClassDef(bases=bases):
            return any(isinstance(base, ast.Name) and base.id == "Protocol" for base in bases)
        case ast.FunctionDef(decorator_list=decorators):
            return any(isinstance(each, ast.Name) and each.id == "overload" for each in decorators)
    return False


def _text(node: ast.AST) -> str:
    """The node on one line; of a statement with a body, its head."""
    if isinstance(node, ast.comprehension):
        return ast.unparse(ast.GeneratorExp(ast.Name("_"), [node]))[3:-1]
    lines = ast.unparse(ast.fix_missing_locations(node)).splitlines()
    return lines[0]


def _shortened(before: str, after: str) -> tuple[str, str]:
    """Long texts without most of what they begin and end with alike."""
    start = _alike(before, after)
    end = min(_alike(before[::-1], after[::-1]), min(len(before), len(after)) - start)
    if start > MOST_ALIKE:
        before, after = ("…" + text[start - SOME_ALIKE :] for text in (before, after))
    if end > MOST_ALIKE:
        before, after = (text[: len(text) - end + SOME_ALIKE] + "…" for text in (before, after))
    return before, after


def _alike(one: str, two: str) -> int:
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, two, strict=False)))
