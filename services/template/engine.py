"""python-liquid with limits: no files, no includes, no unchecked markup, and a work budget per rendering."""

from collections.abc import Mapping
from time import perf_counter, thread_time
from typing import Any, Final, TextIO

from liquid import Environment, RenderContext
from liquid.ast import Node
from liquid.builtin.expressions.primitive import RangeLiteral
from liquid.builtin.output import OutputNode
from liquid.builtin.tags.cycle_tag import CycleNode
from liquid.builtin.tags.echo_tag import EchoNode
from liquid.exceptions import LoopIterationLimitError, ResourceLimitError
from liquid.expression import Expression
from liquid.template import BoundTemplate
from liquid.undefined import UNDEFINED, FalsyStrictUndefined

from services.template.comparisons import BOUNDED
from services.template.dates import format_date
from services.template.filters import REFUSED_FILTERS, bound_filter, round_number, truncate_text, truncate_words
from services.template.value_text import MisfitError, output_text, value_text

MAX_OUTPUT: Final = 1024 * 1024  # bytes
MAX_ITERATIONS: Final = 10_000  # iterations of all loops together
MAX_STEPS: Final = 50_000  # nodes rendered
MAX_CPU_SECONDS: Final = 0.03  # of the thread's processor time, for all templates of one message together
TIME_NAME: Final = ""
"""The name in a context under which the templates of one message share a `RenderingTime`. No template can write it."""
_REFUSED_TAGS: Final = ("include", "render", "increment", "decrement", "liquid")


class MissingValue(FalsyStrictUndefined):
    """An undefined or null value: false in conditions, replaced by the `default` filter, an error elsewhere."""

    force_liquid_default = True


class RenderingTime:
    """The processor time that python-liquid has taken for one message. `spent`: in seconds."""

    __slots__ = ("spent",)

    def __init__(self) -> None:
        self.spent = 0.0


class BudgetedContext(RenderContext):
    """A render context that counts work. python-liquid reads `disabled_tags` before it renders a node, so nodes are
    counted there.
    """

    def __init__(self, template: BoundTemplate, *, globals: Mapping[str, object] | None = None, **rest: Any) -> None:
        self._disabled: list[str] = []
        self.steps = self.iterations = 0
        shared = (globals or {}).get(TIME_NAME)
        self.time = shared if isinstance(shared, RenderingTime) else RenderingTime()
        self.left = MAX_CPU_SECONDS - self.time.spent
        self.began = perf_counter()
        self.timed_from = self.began + self.left / 2  # wall-clock seconds; processor time cannot exceed them
        self.deadline: float | None = None
        super().__init__(template, globals=globals, **rest)

    @property
    def disabled_tags(self) -> list[str]:
        self.steps += 1
        if self.steps > MAX_STEPS:
            raise ResourceLimitError(f"more than {MAX_STEPS} steps", token=None)
        if self.steps % 8 == 0:
            self.check_time()
        return self._disabled

    @disabled_tags.setter
    def disabled_tags(self, tags: list[str]) -> None:
        self._disabled = tags

    def check_time(self) -> None:
        """Raises ResourceLimitError when the time is used up.

        Reading a thread's CPU time is expensive, especially on a busy machine, so it is read only after a rendering has
        taken suspiciously long in wall-clock time.
        """
        if self.deadline is None:
            if perf_counter() >= self.timed_from:
                self.deadline = thread_time() + self.left / 2
        elif thread_time() > self.deadline:
            raise ResourceLimitError(f"more than {MAX_CPU_SECONDS} s", token=None)

    def add_time(self) -> None:
        """Adds what this rendering took to what its message took."""
        if self.deadline is None:
            self.time.spent += perf_counter() - self.began
        else:
            self.time.spent += self.left - (self.deadline - thread_time())

    def raise_for_loop_limit(self, length: int = 1) -> None:
        """Counts the iterations of a starting loop. Raises LoopIterationLimitError."""
        self.iterations += max(length, 1)
        if self.iterations > MAX_ITERATIONS:
            raise LoopIterationLimitError(f"more than {MAX_ITERATIONS} iterations", token=None)
        self.check_time()

    def get(self, path: list[object], *, token: Any, default: object = UNDEFINED) -> object:
        """Returns the value at a path; null counts as undefined."""
        value = super().get(path, token=token, default=default)
        if value is None and default is UNDEFINED:
            return self.env.undefined(str(path[0]), token=token)
        return value

    def filter(self, name: str, token: Any) -> Any:
        """Returns the filter, checking the time before each use."""
        self.check_time()
        return super().filter(name, token)


class BoundedRange(RangeLiteral):
    """A range of bounded length: python-liquid iterates over all of it for `contains` and `reversed`."""

    __slots__ = ()

    def _make_range(self, start: Any, stop: Any) -> range:
        numbers = super()._make_range(start, stop)
        if numbers.stop - numbers.start > MAX_ITERATIONS:
            raise ResourceLimitError(f"a range of more than {MAX_ITERATIONS} numbers", token=self.token)
        return numbers


class PlainOutput(OutputNode):
    """`{{ }}` that writes values as people do."""

    __slots__ = ()

    def render_to_output(self, context: RenderContext, buffer: TextIO) -> int:
        value = self.expression.evaluate(context)
        try:
            return buffer.write(output_text(value, context.autoescape))
        except MisfitError as error:
            error.token = self.expression.token
            raise


class PlainEcho(EchoNode):
    """The tag `echo` that writes values as people do."""

    __slots__ = ()

    render_to_output = PlainOutput.render_to_output


class _PlainCycle(CycleNode):
    """The tag `cycle` that writes values as people do. Without a name, its texts tell it from others."""

    __slots__ = ()

    def render_to_output(self, context: RenderContext, buffer: TextIO) -> int:
        texts = [value_text(each.evaluate(context)) for each in self.args]
        group = value_text(self.group.evaluate(context)) if self.group else ""
        return buffer.write(output_text(texts[context.cycle(group or str(texts), len(texts))], context.autoescape))


_REPLACED: Final[Mapping[type, type]] = {
    RangeLiteral: BoundedRange, OutputNode: PlainOutput, EchoNode: PlainEcho, CycleNode: _PlainCycle, **BOUNDED
}  # fmt: skip


class _BoundedTemplate(BoundTemplate):
    context_class = BudgetedContext

    def __init__(self, *args: Any, **rest: Any) -> None:
        super().__init__(*args, **rest)
        context = BudgetedContext(self)
        pending: list[Node | Expression] = list(self.nodes)
        while pending:
            each = pending.pop()
            if isinstance(each, Node):
                pending += [*each.children(context, include_partials=False), *each.expressions()]
            else:
                pending += each.children()
            if type(each) in _REPLACED:
                each.__class__ = _REPLACED[type(each)]


class _TemplateEnvironment(Environment):
    template_class = _BoundedTemplate
    output_stream_limit = MAX_OUTPUT
    local_namespace_limit = MAX_OUTPUT
    block_nesting_limit = 30
    context_depth_limit = 30

    def setup_tags_and_filters(self, extra: bool = False) -> None:
        super().setup_tags_and_filters(extra=extra)
        for tag in _REFUSED_TAGS:
            del self.tags[tag]
        for name in REFUSED_FILTERS:
            del self.filters[name]
        self.filters["date"] = format_date
        self.filters["round"] = round_number
        self.filters["truncate"] = truncate_text
        self.filters["truncatewords"] = truncate_words
        self.filters = {name: _copy_filter_flags(bound_filter(name, run), run) for name, run in self.filters.items()}


def _copy_filter_flags(outer: Any, inner: Any) -> Any:
    for flag in ("with_context", "with_environment"):
        if getattr(inner, flag, False):
            setattr(outer, flag, True)
    return outer


def create_environment(html: bool) -> Environment:
    """Creates an environment; with `html` every value is escaped."""
    return _TemplateEnvironment(undefined=MissingValue, autoescape=html)
