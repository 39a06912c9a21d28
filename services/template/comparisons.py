"""Comparisons of templates (`==`, `<`, `contains`, `when`), with a bound on what each looks at and on all of them.

python-liquid looks at its clock between two tags, and one tag holds hundreds of comparisons: each of a text of 250 KB
or of a list of 40,000 items, they kept the process for more than a second. So the time is checked before each of them,
and lists are no longer here than filters take them.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from liquid import RenderContext
from liquid.builtin.expressions import logical
from liquid.builtin.tags.case_tag import _AnyExpression
from liquid.expression import Expression

from services.template.filters import check_size
from services.template.value_text import MisfitError, kind_of

Comparison = Callable[[Any, Any, Any], bool]
"""Of the token of the expression, and its two sides."""


def contains(token: Any, left: object, right: object) -> bool:
    """Whether a text or a list holds a value. Raises MisfitError for a list or an object that is looked for in a text:
    python-liquid would write it out to compare it.
    """
    if isinstance(left, str) and isinstance(right, list | tuple | Mapping):
        raise MisfitError(f"a text cannot contain {kind_of(right)}", kind_of(right), "text", is_argument=True)
    return logical._contains(token, left, right)


COMPARISONS: Final[Mapping[type[Expression], Comparison]] = {
    logical.EqExpression: lambda _, left, right: logical._eq(left, right),
    logical.NeExpression: lambda _, left, right: not logical._eq(left, right),
    logical.LtExpression: logical._lt,
    logical.GtExpression: lambda token, left, right: logical._lt(token, right, left),
    logical.LeExpression: lambda _, left, right: logical._le(left, right),
    logical.GeExpression: lambda _, left, right: logical._le(right, left),
    logical.ContainsExpression: contains,
}
"""What python-liquid's expressions do, by their class."""


def _bounded(kind: type[Any], compare: Comparison) -> type[Expression]:
    searches = kind is logical.ContainsExpression

    def evaluate(self: Any, context: RenderContext) -> object:
        left, right = self.left.evaluate(context), self.right.evaluate(context)
        _check(context, left, left if searches else right)
        return compare(self.token, left, right)

    return type(f"Bounded{kind.__name__}", (kind,), {"__slots__": (), "evaluate": evaluate})


class BoundedWhen(_AnyExpression):
    """The values of a `when`, each compared with that of its `case`."""

    __slots__ = ()

    def evaluate(self, context: RenderContext) -> list[bool]:
        """Which of the values equal it."""
        left, found = self.left.evaluate(context), []
        for expression in self.expressions:
            right = expression.evaluate(context)
            _check(context, left, right)
            found.append(logical._eq(left, right))
        return found


BOUNDED: Final[Mapping[type[Any], type[Any]]] = {
    **{kind: _bounded(kind, compare) for kind, compare in COMPARISONS.items()},
    _AnyExpression: BoundedWhen,
}
"""The bounded classes, by python-liquid's own. They differ in `evaluate` alone."""


def _check(context: Any, left: object, right: object) -> None:
    """Raises ResourceLimitError when the time is over, or where each item of long lists would be compared."""
    context.check_time()
    if isinstance(left, list | tuple) and isinstance(right, list | tuple):
        check_size(left)
        check_size(right)
