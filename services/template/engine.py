"""python-liquid with bounds: no files, no includes, no unchecked markup, a budget of work for each render."""

from collections.abc import Mapping
from time import perf_counter, thread_time
from typing import Any, Final

from liquid import Environment, RenderContext
from liquid.ast import Node
from liquid.builtin.expressions.primitive import RangeLiteral
from liquid.exceptions import LoopIterationLimitError, ResourceLimitError
from liquid.expression import Expression
from liquid.template import BoundTemplate
from liquid.undefined import UNDEFINED, FalsyStrictUndefined

from services.template.filters import REFUSED, bounded, date

MAX_OUTPUT: Final = 1024 * 1024  # bytes
MAX_LOOPS: Final = 10_000  # iterations of all loops together
MAX_STEPS: Final = 50_000  # nodes rendered
MAX_SECONDS: Final = 0.05  # of the thread's processor time
UNWATCHED: Final = MAX_SECONDS / 2  # seconds of any time; nobody uses more processor time than passes
_REFUSED_TAGS: Final = ("include", "render", "increment", "decrement", "liquid")


class Missing(FalsyStrictUndefined):
    """An undefined or null value: false in conditions, replaced by the `default` filter, an error anywhere else."""

    force_liquid_default = True


class Budgeted(RenderContext):
    """A render context that counts work. Every node asks for `disabled_tags` before it renders: there it is counted."""

    def __init__(self, template: BoundTemplate, *, globals: Mapping[str, object] | None = None, **rest: Any) -> None:
        self._disabled: list[str] = []
        self.steps = self.iterations = 0
        self.watched_from = perf_counter() + UNWATCHED
        self.stop_at: float | None = None
        super().__init__(template, globals=globals, **rest)

    @property
    def disabled_tags(self) -> list[str]:
        self.steps += 1
        if self.steps > MAX_STEPS:
            raise ResourceLimitError(f"more than {MAX_STEPS} steps", token=None)
        if self.steps % 64 == 0:
            self.check_time()
        return self._disabled

    @disabled_tags.setter
    def disabled_tags(self, tags: list[str]) -> None:
        self._disabled = tags

    def check_time(self) -> None:
        """Raises ResourceLimitError when the time is used up.

        A thread's processor time is dear to read, on a busy machine most of all, so it is read only once a render
        has taken suspiciously long by the clock on the wall.
        """
        if self.stop_at is None:
            if perf_counter() >= self.watched_from:
                self.stop_at = thread_time() + MAX_SECONDS - UNWATCHED
        elif thread_time() > self.stop_at:
            raise ResourceLimitError(f"more than {MAX_SECONDS} s", token=None)

    def raise_for_loop_limit(self, length: int = 1) -> None:
        """Counts the iterations of a loop that starts; raises LoopIterationLimitError."""
        self.iterations += max(length, 1)
        if self.iterations > MAX_LOOPS:
            raise LoopIterationLimitError(f"more than {MAX_LOOPS} iterations", token=None)
        self.check_time()

    def get(self, path: list[object], *, token: Any, default: object = UNDEFINED) -> object:
        """The value at a path; null counts as undefined."""
        value = super().get(path, token=token, default=default)
        if value is None and default is UNDEFINED:
            return self.env.undefined(str(path[0]), token=token)
        return value

    def filter(self, name: str, token: Any) -> Any:
        """The filter; time is checked before each use."""
        self.check_time()
        return super().filter(name, token)


class _Range(RangeLiteral):
    """A range of bounded length: python-liquid goes through all of it for `contains` and `reversed`."""

    __slots__ = ()

    def _make_range(self, start: Any, stop: Any) -> range:
        made = super()._make_range(start, stop)
        if made.stop - made.start > MAX_LOOPS:
            raise ResourceLimitError(f"a range of more than {MAX_LOOPS} numbers", token=self.token)
        return made


class _Template(BoundTemplate):
    context_class = Budgeted

    def __init__(self, *args: Any, **rest: Any) -> None:
        super().__init__(*args, **rest)
        context = Budgeted(self)
        found: list[Node | Expression] = list(self.nodes)
        while found:
            each = found.pop()
            if isinstance(each, Node):
                found += [*each.children(context, include_partials=False), *each.expressions()]
            else:
                found += each.children()
            if type(each) is RangeLiteral:
                each.__class__ = _Range


class _Engine(Environment):
    template_class = _Template
    output_stream_limit = MAX_OUTPUT
    local_namespace_limit = MAX_OUTPUT
    block_nesting_limit = 30
    context_depth_limit = 30

    def setup_tags_and_filters(self, extra: bool = False) -> None:
        super().setup_tags_and_filters(extra=extra)
        for tag in _REFUSED_TAGS:
            del self.tags[tag]
        for name in REFUSED:
            del self.filters[name]
        self.filters["date"] = date
        self.filters = {name: _keep_marks(bounded(name, run), run) for name, run in self.filters.items()}


def _keep_marks(outer: Any, inner: Any) -> Any:
    for mark in ("with_context", "with_environment"):
        if getattr(inner, mark, False):
            setattr(outer, mark, True)
    return outer


def engine(html: bool) -> Environment:
    """An environment; with `html` every value is escaped."""
    return _Engine(undefined=Missing, autoescape=html)
