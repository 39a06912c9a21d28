"""Which value makes content fail that renders with other values: a line break in a subject, a link that is not allowed.

Such a fault is in the rendered text, where nobody knows any more which value brought it. So the content is rendered
again with each variable of the field in turn replaced by an ordinary value: the one without which it can be sent is the
cause. Only what fails is rendered again, and only so often.
"""

from collections.abc import Callable, Iterator, Mapping
from time import perf_counter
from typing import Any, Final

from services.orchestrator.delivery.channels.definition import CompiledTemplates
from services.template import RenderError, line_and_column

MAX_VARIABLES: Final = 8
MAX_SECONDS: Final = 0.02
"""Wall-clock seconds after which no further variable is tried: a mail may take longer than that by itself."""
_ORDINARY: Final = ("Example", "https://example.org/x", "x")
_KINDS: Final[Mapping[str, tuple[str, str]]] = {
    "control_character": ("text with a line break or another control character", "text on one line"),
    "too_long": ("text that is too long", "a shorter text"),
    "unsafe_link": ("a link that is not allowed", "a link that is allowed"),
    "empty": ("nothing to print", "text"),
}
"""Code of a fault in the rendered text -> the kinds of value met and expected, in words."""


def name_cause(
    error: RenderError,
    templates: CompiledTemplates,
    context: Mapping[str, Any],
    render: Callable[[Mapping[str, Any]], object],
) -> None:
    """Completes the error with the variable whose value is the cause, its place and the kinds, if there is one."""
    template = templates.get(error.field or "")
    if template is None or error.variable is not None or error.code not in _KINDS:
        return
    stop = perf_counter() + MAX_SECONDS
    for path in _printed_paths(template.reads(), context):
        if perf_counter() > stop:
            return
        if any(_renders(render, context, path, value) for value in _ORDINARY):
            name = ".".join(path)
            error.variable, (error.found, error.expected) = name, _KINDS[error.code]
            error.line, error.column = line_and_column(template.source, template.first_use(name))
            error.detail = f"line {error.line}, column {error.column}: `{name}`: {error.detail}"
            return


def _printed_paths(reads: list[tuple[int, list[Any]]], context: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    """The paths of data that lead to a text or a number here, each once, in the order of their use."""
    seen: dict[tuple[str, ...], None] = {}
    for _, segments in reads:
        path = tuple(segments)
        if not all(isinstance(each, str) for each in path) or path[0] not in ("event", "customer") or path in seen:
            continue
        value: Any = context
        for name in path:
            value = value.get(name) if isinstance(value, Mapping) else None
        if isinstance(value, str | int | float) and len(seen) < MAX_VARIABLES:
            seen[path] = None
    yield from seen


def _renders(
    render: Callable[[Mapping[str, Any]], object], context: Mapping[str, Any], path: tuple[str, ...], value: str
) -> bool:
    try:
        render(_replaced(context, path, value))
    except RenderError:
        return False
    return True


def _replaced(values: Mapping[str, Any], path: tuple[str, ...], value: Any) -> dict[str, Any]:
    name, rest = path[0], path[1:]
    return {**values, name: _replaced(values[name], rest, value) if rest else value}
