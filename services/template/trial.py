"""Trial renderings: a template is rendered before there is any event, to find what can never be sent.

A value that nobody knows yet is a `SampleText`, which remembers its path. Conditions over such values have no result,
so a `TrialRun` decides them: another run takes the other branch. Filters take a sample as whatever kind of value they
can work with, so that only what no value could satisfy is an error. python-liquid renders; only lookups, conditions,
loops and filters are replaced, in a parsed tree of its own.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, Final, NamedTuple, TextIO

from liquid import RenderContext
from liquid.builtin.content import ContentNode
from liquid.builtin.expressions import LoopExpression
from liquid.builtin.expressions import logical as logic
from liquid.exceptions import LiquidError, LiquidTypeError, ResourceLimitError
from liquid.template import BoundTemplate
from liquid.undefined import UNDEFINED

from services.template import Template, create_environment, line_and_column
from services.template.comparisons import BoundedWhen
from services.template.engine import BoundedRange, BudgetedContext, PlainEcho, PlainOutput
from services.template.template_errors import RenderError
from services.template.value_text import MisfitError, kind_of

MISSING: Final = object()
"""Stands for a value that is not there."""
_OTHER_KINDS: Final = ("2026-01-31", "7")
"""What a filter may take a sample for, besides its text: a time and a number."""
_MAX_DECISIONS: Final = 200
_POSITIONS: Final = frozenset({"size", "first", "last"})
_OF_ITEMS: Final = frozenset({"map", "where", "reject", "find", "find_index", "has", "sum"})
"""Filters that read a field of each item. They take a text as well, and find nothing in it."""
_CHOICES: Final = frozenset({"where", "reject", "compact"})
"""Filters that keep some items; which ones depends on values that nobody knows, so in a trial they keep all."""
_TEXTS: Final = {"customer.id": ("7",), "customer.locale": (), "event.type": ()}
"""The variables that are always texts, never objects or lists, each with the numbers or times that it may look like."""
_MANY_ITEMS: Final = 200
MANY: Final = object()
"""Stands for a list with many items, whatever they are."""


class SampleText(str):
    """A text in place of a value that is not known yet. `path` is where the value will come from.

    In the roots of a trial, an empty one becomes whatever the run tries.
    """

    path: str

    def __new__(cls, text: str, path: str) -> "SampleText":
        sample = super().__new__(cls, text)
        sample.path = path
        return sample


class SampleList(list[Any]):
    """A list that a filter has made of samples."""


class SampleObject(dict[str, Any]):
    """An object whose fields are not known yet. `fields`: the only ones that it can have; None allows any name."""

    def __init__(self, path: str, fields: Mapping[str, Any] | None = None) -> None:
        super().__init__(fields or {})
        self.path, self.is_open = path, fields is None


class _SampleItem(SampleObject):
    """An item of a list whose fields are read by a filter such as `map`: it has every field."""

    def __init__(self, path: str, fill: str) -> None:
        super().__init__(path)
        self.fill = fill

    def __missing__(self, key: str) -> SampleText:
        return SampleText(self.fill, self.path)


class UnknownName(LiquidTypeError):
    """A name that a known object, or a known text, does not have."""

    def __init__(self, parent: str, name: str, known: Sequence[str]) -> None:
        near = get_close_matches(name, known, 1)
        self.suggestion = f"did you mean `{parent}.{near[0]}`?" if near else None
        rest = f"it has {', '.join(known)}" if known else "it is text"
        super().__init__(f"`{parent}` has no `{name}`; {rest}", token=None)


class BranchDecision(NamedTuple):
    """What a run decided: the condition or loop as written, its result, and whether the source has a block for it."""

    condition: str
    result: int
    variable: str | None


class Piece(NamedTuple):
    """A piece of the rendered text and the place in the source that wrote it. `path`: of a value, else None."""

    start: int
    source_index: int
    path: str | None


@dataclass(slots=True)
class TrialRun:
    """One run: what is decided in advance, what every unknown value is, and what has been found on the way."""

    prefix: tuple[int, ...] = ()
    fill: str = "Example"
    values: Mapping[str, Any] = field(default_factory=dict)
    """Values of paths that are tried: MISSING, or a value."""
    decisions: list[BranchDecision] = field(default_factory=list)
    known: dict[str, int] = field(default_factory=dict)
    """The decisions by condition."""
    is_forced: bool = False
    """Conditions that are known are not evaluated, not even where the values would tell."""
    paths: dict[str, str] = field(default_factory=dict)
    """The paths whose values were written, and the field that read them first."""
    tested: dict[str, str] = field(default_factory=dict)
    """Likewise, the paths that conditions compare."""
    pieces: dict[str, list[Piece]] = field(default_factory=dict)

    def decide(self, condition: str, variable: str | None, default: int) -> int:
        """Decides a condition or a loop, the same one always in the same way."""
        if condition not in self.known:
            place = len(self.decisions)
            result = self.prefix[place] if place < len(self.prefix) else default
            if place < _MAX_DECISIONS:
                self.decisions.append(BranchDecision(condition, result, variable))
            self.known[condition] = result
        return self.known[condition]

    def sample(self, path: str) -> Any:
        """Returns the value at a path."""
        if path in self.values:
            value = self.values[path]
            if value is MISSING:
                raise KeyError(path)
            if value is not MANY:
                return value
        return SampleText(self.fill or ("x" if path in _TEXTS else ""), path)


class TrialValues(dict[str, Any]):
    """The variables of a trial rendering, with its run."""

    def __init__(self, run: TrialRun, roots: Mapping[str, Any]) -> None:
        super().__init__(roots)
        self.run = run


class TrialTemplate(Template):
    """A template that renders only for trials. `render` takes `TrialValues`."""

    __slots__ = ()

    def render(self, context: Mapping[str, Any]) -> str:
        """Renders for a trial. Raises RenderError."""
        assert isinstance(context, TrialValues)
        buffer = self._parsed._get_buffer()
        trial = _TrialContext(self._parsed, globals=context)
        trial.run, trial.field, trial.main_buffer = context.run, self.field or "", buffer
        try:
            self._parsed.render_with_context(trial, buffer)
        except UnknownName as error:
            index = error.token.start_index if error.token else 0
            place = line_and_column(self.source, index)
            detail = f"line {place[0]}, column {place[1]}: {error.message}"
            found = RenderError("unknown_name", detail, field=self.field, place=place)
            found.suggestion = error.suggestion
            raise found from None
        except LiquidError as error:
            raise self.describe_error(error) from None
        except (TypeError, ValueError, ArithmeticError, KeyError, IndexError, RecursionError) as error:
            detail = f"a value does not fit: {type(error).__name__}"
            raise RenderError("wrong_type", detail, field=self.field) from None
        text: str = buffer.getvalue()
        return text


def compile_trial(source: str, html: bool, field: str) -> TrialTemplate:
    """Compiles a template that has compiled already."""
    parsed = _ENVIRONMENTS[html].from_string(source)
    _replace_classes(parsed)
    return TrialTemplate(source, html, field, parsed, parsed.analyze(include_partials=False))


_ENVIRONMENTS: Final = {True: create_environment(html=True), False: create_environment(html=False)}


class _TrialContext(BudgetedContext):
    """A render context in which unknown values are samples."""

    def __init__(self, template: BoundTemplate, **rest: Any) -> None:
        super().__init__(template, **rest)
        self.run = TrialRun()
        self.field = ""
        self.in_condition = False
        self.main_buffer: TextIO | None = None
        self.sampled: list[str] = []
        """Paths of the samples that were read since somebody cleared this."""

    def check_time(self) -> None:
        """Trials are bounded in number; a slow machine must not refuse a campaign."""

    def get(self, path: list[object], *, token: Any, default: object = UNDEFINED) -> object:
        try:
            value = super().get(path, token=token, default=default)
        except UnknownName as error:
            error.token = token
            raise
        if isinstance(value, SampleText | SampleList | SampleObject):
            self.sampled.append(getattr(value, "path", "") or str(path[0]))
        return value

    def get_item(self, obj: Any, key: Any) -> Any:
        """Returns a field of a sample, which is a sample as well."""
        if isinstance(obj, SampleObject) and not (obj.is_open and key in _POSITIONS):
            if isinstance(key, SampleText) and not obj.is_open:
                return SampleText(self.run.fill, "")  # some value of the key may name a field
            if key in obj:
                return self._read(obj[key])
            if not obj.is_open and key not in _POSITIONS:
                raise UnknownName(obj.path, str(key), [*obj])
            if isinstance(key, int):
                raise UnknownName(obj.path, f"[{key}]", ["names, no positions"])
            if obj.is_open:
                return self._sample(_below(obj.path, key))
        if isinstance(obj, SampleText) and obj.path in _TEXTS:
            if key not in _POSITIONS:
                raise UnknownName(obj.path, str(key), ())
            return super().get_item(obj, key)
        if isinstance(obj, SampleText):
            return self._sample(_below(obj.path, key))
        return super().get_item(obj, key)

    def _read(self, value: Any) -> Any:
        return self._sample(value.path) if isinstance(value, SampleText) and not value else value

    def _sample(self, path: str) -> Any:
        if path.rpartition(".")[2] not in _POSITIONS:
            (self.run.tested if self.in_condition else self.run.paths).setdefault(path, self.field)
        return self.run.sample(path)

    def filter(self, name: str, token: Any) -> Any:
        """Returns the filter; it takes samples for any kind of value that it can work with."""
        return _tolerant_filter(name, super().filter(name, token))

    def decide(self, condition: str, default: int) -> int:
        """Decides what depends on the samples that were just read."""
        variable = next((path for path in self.sampled if path), None)
        return self.run.decide(condition, variable, default)

    def truth(self, expression: Any) -> bool | None:
        """Returns whether a condition holds; None where that depends on samples. Raises LiquidError."""
        if isinstance(expression, logic.LogicalAndExpression | logic.LogicalOrExpression):
            decisive = isinstance(expression, logic.LogicalOrExpression)
            left = self.truth(expression.left)
            if left is decisive:
                return decisive
            right = self.truth(expression.right)
            return decisive if right is decisive else None if left is None or right is None else not decisive
        if isinstance(expression, logic.LogicalNotExpression):
            inner = self.truth(expression.right)
            return None if inner is None else not inner
        before = len(self.sampled)
        try:
            value = expression.evaluate(self)
        except UnknownName:
            raise
        except LiquidError:
            if len(self.sampled) > before:
                return None
            raise
        return None if len(self.sampled) > before else logic.is_truthy(value)


def _below(path: str, key: object) -> str:
    return f"{path}[{key}]" if isinstance(key, int) else f"{path}.{key}"


def _is_sample(value: object) -> bool:
    return isinstance(value, SampleText | SampleList | SampleObject)


def _tolerant_filter(name: str, run: Callable[..., Any]) -> Callable[..., Any]:
    def tolerant(value: Any, *args: Any, **options: Any) -> Any:
        if not any(map(_is_sample, (value, *args))):
            return run(value, *args, **options)
        if name == "default":
            fallback = run("", *args, **options)  # raises for arguments that it does not know
            return value if _is_sample(value) else fallback
        path = next((each.path for each in (value, *args) if isinstance(each, SampleText | SampleObject)), "")
        failures: list[tuple[Any, LiquidError]] = []
        for attempt, arguments in _attempts(name, value, args):
            try:
                result = run(attempt, *arguments, **options)
            except LiquidError as error:
                failures.append((attempt, error))
            else:
                return attempt if name in _CHOICES and not result else _as_sample(result, path)
        raise _clearest(failures)

    return tolerant


def _clearest(failures: Sequence[tuple[Any, LiquidError]]) -> LiquidError:
    """The error that says most: one that is not about the kind of the sample, which some value would have right."""
    for attempt, error in failures:
        if isinstance(error, ResourceLimitError) or (
            isinstance(error, MisfitError) and error.found != kind_of(_plain(attempt))
        ):
            return error
    return failures[0][1]


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, str) else value


def _attempts(name: str, value: Any, args: Sequence[Any]) -> Iterator[tuple[Any, list[Any]]]:
    """Yields the operands of a filter with other kinds of values in place of the samples."""
    for kind in reversed(_kinds(value)) if name in _OF_ITEMS else _kinds(value):
        kinds = [_kinds(each)[:3] if isinstance(each, SampleText) else [each] for each in args]
        for place in range(max(map(len, kinds), default=1)):
            yield kind, [each[min(place, len(each) - 1)] for each in kinds]


def _kinds(value: Any) -> Sequence[Any]:
    if not isinstance(value, SampleText):
        return [value]
    if value.path in _TEXTS:
        return [str(value), *_TEXTS[value.path]]
    return [str(value), *_OTHER_KINDS, SampleList([value]), SampleList([_SampleItem(f"{value.path}[0]", str(value))])]


def _as_sample(result: Any, path: str) -> Any:
    if isinstance(result, list | tuple):
        return SampleList(_as_sample(each, path) if isinstance(each, str) else each for each in result)
    if isinstance(result, str) and not isinstance(result, SampleText):
        return result if hasattr(result, "__html__") else SampleText(result, path)
    return SampleText("7" if result is None else str(result).lower(), path) if _is_scalar(result) else result


def _is_scalar(value: object) -> bool:
    return value is None or isinstance(value, bool | int | float)


class _TrialCondition(logic.BooleanExpression):
    __slots__ = ()

    def evaluate(self, context: RenderContext) -> bool:
        assert isinstance(context, _TrialContext)
        if context.run.is_forced and str(self) in context.run.known:
            return bool(context.run.known[str(self)])
        context.sampled.clear()
        context.in_condition = True
        try:
            known = context.truth(self.expression)
        finally:
            context.in_condition = False
        return bool(context.decide(str(self), 1)) if known is None else known


class _TrialWhen(BoundedWhen):
    __slots__ = ()

    def evaluate(self, context: RenderContext) -> list[bool]:
        assert isinstance(context, _TrialContext)
        condition = f"{self.left} == {self}"
        if context.run.is_forced and condition in context.run.known:
            return [bool(context.run.known[condition])]
        context.sampled.clear()
        context.in_condition = True
        try:
            results = super().evaluate(context)
        finally:
            context.in_condition = False
        return [bool(context.decide(condition, 1))] if context.sampled else results


class _TrialLoop(LoopExpression):
    __slots__ = ()

    def evaluate(self, context: RenderContext) -> tuple[Iterator[object], int]:
        assert isinstance(context, _TrialContext)
        context.sampled.clear()
        value = self.iterable.evaluate(context)
        if not _is_sample(value) or (isinstance(value, SampleObject) and not value.is_open):
            return super().evaluate(context)
        items = _loop_items(context, value)
        if context.run.values.get(getattr(value, "path", "")) is MANY:
            return iter([items] * _MANY_ITEMS), _MANY_ITEMS
        count = context.decide(f"for {self}", 1)
        return iter([items] * count), count


def _loop_items(context: _TrialContext, value: Any) -> Any:
    if isinstance(value, SampleObject):
        return (SampleText("name", ""), context._sample(f"{value.path}.name"))
    if isinstance(value, SampleList):
        return value[0] if value else SampleText(context.run.fill, "")
    return SampleText(context.run.fill, f"{value.path}[0]")


class _TrialRange(BoundedRange):
    __slots__ = ()

    def _make_range(self, start: Any, stop: Any) -> range:
        first = 1 if isinstance(start, SampleText) else start
        return super()._make_range(first, first if isinstance(stop, SampleText) else stop)


class _TrialContent(ContentNode):
    __slots__ = ()

    def render_to_output(self, context: RenderContext, buffer: TextIO) -> int:
        assert isinstance(context, _TrialContext)
        if buffer is context.main_buffer:
            start = self.token.start_index
            source = self.token.source
            context.run.pieces.setdefault(context.field, []).append(
                Piece(buffer.tell(), max(source.find(self.text, start), start), None)
            )
        return super().render_to_output(context, buffer)


def _write_output(self: PlainOutput | PlainEcho, context: RenderContext, buffer: TextIO) -> int:
    assert isinstance(context, _TrialContext)
    context.sampled.clear()
    start = buffer.tell() if buffer is context.main_buffer else -1
    written = PlainOutput.render_to_output(self, context, buffer)  # type: ignore[arg-type]
    if start >= 0:
        path = next((each for each in context.sampled if each), None)
        piece = Piece(start, self.expression.token.start_index, path or str(self.expression))
        context.run.pieces.setdefault(context.field, []).append(piece)
    return written


class _TrialOutput(PlainOutput):
    __slots__ = ()
    render_to_output = _write_output


class _TrialEcho(PlainEcho):
    __slots__ = ()
    render_to_output = _write_output


_REPLACED: Final[Mapping[type, type]] = {
    logic.BooleanExpression: _TrialCondition, BoundedWhen: _TrialWhen, LoopExpression: _TrialLoop,
    BoundedRange: _TrialRange, ContentNode: _TrialContent, PlainOutput: _TrialOutput, PlainEcho: _TrialEcho,
}  # fmt: skip


def _replace_classes(parsed: BoundTemplate) -> None:
    """Replaces the classes of nodes and expressions; the new ones differ in methods only."""
    context = BudgetedContext(parsed)
    pending: list[Any] = list(parsed.nodes)
    while pending:
        each = pending.pop()
        if hasattr(each, "expressions") and callable(each.expressions):
            pending += [*each.children(context, include_partials=False), *each.expressions()]
        else:
            pending += each.children()
        if type(each) in _REPLACED:
            each.__class__ = _REPLACED[type(each)]
