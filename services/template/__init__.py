"""Liquid templates with limits on size, work and markup.

Undefined and null values are errors when used, unless the `default` filter replaces them or a condition only tests for
their presence.
How it works: engine.py configures python-liquid, which parses every template and defines its meaning. translate.py
turns the common cases into plain Python functions once per template; when a translation meets anything unusual it
raises, and python-liquid renders instead (docs/decisions/0007 has the measurements).
"""

import re
from collections.abc import Mapping
from io import StringIO
from operator import itemgetter
from typing import Any, Final

from liquid.exceptions import (
    FilterArgumentError,
    LiquidError,
    OutputStreamLimitError,
    ResourceLimitError,
    UndefinedError,
)
from liquid.static_analysis import TemplateAnalysis
from liquid.template import BoundTemplate

from schemas.documents import did_you_mean
from services.template.engine import MAX_OUTPUT, TIME_NAME, BudgetedContext, RenderingTime, create_environment
from services.template.html import check_html, check_output_positions, link_scheme_allowed
from services.template.runtime import FALLBACK_ERRORS, MAX_SECONDS
from services.template.source_scan import blank_markups, check_source, count_words
from services.template.template_errors import RenderError, TemplateSyntaxError
from services.template.translate import translate_template
from services.template.value_text import MisfitError

__all__ = [
    "TIME_NAME",
    "RenderError",
    "RenderingTime",
    "Template",
    "TemplateSyntaxError",
    "blank_markups",
    "check_html",
    "compile_template",
    "count_words",
    "create_environment",
    "line_and_column",
    "link_scheme_allowed",
]

MAX_TEMPLATE_BYTES: Final = 64 * 1024  # bytes
_PATH_PATTERN: Final = re.compile(r"[A-Za-z_][\w.\-]*")
_COMPARISON_ERROR: Final = re.compile(r"supported between '(\w+)' and '(\w+)'")
_COUNT_ERROR: Final = re.compile(r"expected an integer, found (\w+)")
_KINDS: Final = {
    "str": "text", "Markup": "text", "int": "a number", "float": "a number", "bool": "true or false",
    "NoneType": "nothing", "list": "a list", "tuple": "a list", "range": "a list",
}  # fmt: skip
"""Kinds of values by the names of Python's types, as python-liquid's errors have them."""


class Template:
    """A parsed template. It may be rendered any number of times, from any thread. `field` names it in errors."""

    __slots__ = ("_parsed", "_reads", "_spans", "_uses", "_variables", "field", "html", "source", "translation")

    def __init__(
        self, source: str, html: bool, field: str | None, parsed: BoundTemplate, analysis: TemplateAnalysis
    ) -> None:
        self.source, self.html, self.field, self._parsed = source, html, field, parsed
        self._variables = frozenset(str(each) for uses in analysis.globals.values() for each in uses)
        self._spans = sorted((each.span.index, str(each)) for uses in analysis.variables.values() for each in uses)
        self._reads = sorted((each.span.index, each.segments) for uses in analysis.globals.values() for each in uses)
        uses = [(each.span.index, each.segments) for uses in analysis.variables.values() for each in uses]
        self._uses = sorted(uses, key=itemgetter(0))
        self.translation = translate_template(parsed, frozenset(analysis.locals))

    def render(self, context: Mapping[str, Any]) -> str:
        """Renders the template; values in HTML are escaped. Raises RenderError."""
        if self.translation is not None:
            try:
                return self.translation(context)
            except FALLBACK_ERRORS:
                pass
        return self.render_with_engine(context)

    def render_with_engine(self, context: Mapping[str, Any]) -> str:
        """Renders with python-liquid only. This is the definition of the result. Raises RenderError."""
        buffer: StringIO = self._parsed._get_buffer()
        budget = BudgetedContext(self._parsed, globals=context)
        budget.timed_from -= MAX_SECONDS  # the translation may have used this much
        try:
            self._parsed.render_with_context(budget, buffer)
        except LiquidError as error:
            raise self.describe_error(error) from None
        except (TypeError, ValueError, ArithmeticError, KeyError, IndexError, RecursionError) as error:
            detail = f"a value does not fit: {type(error).__name__}"
            raise RenderError("wrong_type", detail, field=self.field) from None
        finally:
            budget.add_time()
        return buffer.getvalue()

    def variables(self) -> frozenset[str]:
        """Returns the paths that the template reads, such as `customer.traits.name`."""
        return self._variables

    def first_use(self, path: str) -> int:
        """Returns the index of the first use of a path, or of what it begins with; 0 where the template has neither."""
        uses = [use for use in self._spans if path == use[1] or path.startswith((f"{use[1]}.", f"{use[1]}["))]
        return max(uses, key=lambda use: len(use[1]), default=(0, ""))[0]

    def reads(self) -> list[tuple[int, list[Any]]]:
        """Returns (index, path) of each use of a variable that the template does not assign, in order."""
        return self._reads

    def uses(self) -> list[tuple[int, list[Any]]]:
        """Returns (index, path) of each use of a variable, also of names that the template may assign, in order."""
        return self._uses

    def describe_error(self, error: LiquidError) -> RenderError:
        """Returns python-liquid's error as ours: the place, the variable and the kinds of values, never a value."""
        if isinstance(error, OutputStreamLimitError):
            return RenderError("too_large", f"the text is larger than {MAX_OUTPUT} bytes", field=self.field)
        place = _error_position(error)
        found: str | None
        expected: str | None
        start = error.token.start_index if error.token else -1
        at = f"line {place[0]}, column {place[1]}: "
        if isinstance(error, UndefinedError):
            path = _PATH_PATTERN.search(self.source, start) if start >= 0 else None
            name = path.group() if path else None
            detail = f"{at}{_quoted(name)} has no value; the default filter can give it one"
            found, expected, code = "nothing", "a value", "undefined"
        elif isinstance(error, ResourceLimitError):
            return RenderError("too_much_work", f"{at}{error.message}", field=self.field, place=place)
        else:
            code = "wrong_type"
            name, found, expected, misfit = self._describe_mismatch(error, start)
            detail = f"{at}{f'`{name}`: ' if name else ''}{misfit}"
        return RenderError(
            code, detail, field=self.field, place=place, variable=name, found=found, expected=expected
        )  # fmt: skip

    def _describe_mismatch(self, error: LiquidError, start: int) -> tuple[str | None, str | None, str | None, str]:
        """Returns (variable, kind met, kind expected, detail) of a value of the wrong kind."""
        message = str(error.message)
        inside = self._variables_around(start)
        first = inside[0][1] if inside else None
        if isinstance(error, MisfitError):
            name = self._argument_of(start) if error.is_argument else first
            return name, error.found, error.expected, message
        if isinstance(error, FilterArgumentError):
            return first, None, None, message
        operands = _COMPARISON_ERROR.search(message)
        if operands is None:
            count = _COUNT_ERROR.search(message)
            if count is None:
                return first, None, None, "a value does not fit here"
            found = _KINDS.get(count.group(1), "an object")
            return first, found, "a whole number", f"{found} is no whole number"
        left, right = (_KINDS.get(each, "an object") for each in operands.groups())
        if self.source[start : start + 1] == ">":  # python-liquid compares `a > b` as `b < a`
            left, right = right, left
        before = [path for index, path in inside if index <= start]
        if "contains" in message:
            return before[-1] if before else None, left, "text or a list", f"nothing can be searched for in {left}"
        if before:
            return before[-1], left, right, f"{left} cannot be compared with {right}"
        return first, right, left, f"{right} cannot be compared with {left}"

    def _argument_of(self, start: int) -> str | None:
        """Returns the variable that is the argument of the filter at an index; None where the argument is a literal."""
        next_filter = self.source.find("|", start + 1)
        end = len(self.source) if next_filter < 0 else next_filter
        return next((path for index, path in self._variables_around(start) if start < index < end), None)

    def _variables_around(self, start: int) -> list[tuple[int, str]]:
        """Returns (index, path) of the variables in the `{{ }}` or `{% %}` around an index."""
        opening = max(self.source.rfind("{{", 0, start + 2), self.source.rfind("{%", 0, start + 2))
        closing = min((end for end in (self.source.find(each, start) for each in ("}}", "%}")) if end >= 0), default=-1)
        return [(index, path) for index, path in self._spans if opening <= index < closing]


def compile_template(source: str, html: bool, field: str | None = None) -> Template:
    """Compiles a template; with `html` its values are escaped. Raises TemplateSyntaxError."""
    if len(source.encode("utf-8", "replace")) > MAX_TEMPLATE_BYTES:
        raise TemplateSyntaxError(1, 1, f"a template has at most {MAX_TEMPLATE_BYTES} bytes")
    check_source(source)
    try:
        parsed = _ENVIRONMENTS[html].from_string(source)
        analysis = parsed.analyze(include_partials=False)
        known = _ENVIRONMENTS[html].filters
        uses = sorted((span.index, name) for name, spans in analysis.filters.items() for span in spans)
        for index, name in uses:
            if name not in known:
                hint = did_you_mean(name, known)
                raise TemplateSyntaxError(*line_and_column(source, index), f"unknown filter `{name}`{hint}")
    except LiquidError as error:
        detail = str(error.message or "not a template").splitlines()[0]
        raise TemplateSyntaxError(*_error_position(error), detail) from None
    except (RecursionError, ValueError) as error:
        if isinstance(error, TemplateSyntaxError):
            raise
        raise TemplateSyntaxError(1, 1, "not a template") from None
    if html:
        check_output_positions(source)
    return Template(source, html, field, parsed, analysis)


_ENVIRONMENTS: Final = {True: create_environment(html=True), False: create_environment(html=False)}


def _error_position(error: LiquidError) -> tuple[int, int]:
    found = error.context()
    return (found[0], found[1] + 1) if found else (1, 1)


def line_and_column(source: str, index: int) -> tuple[int, int]:
    """Returns line and column (from 1) of an index."""
    return source.count("\n", 0, index) + 1, index - source.rfind("\n", 0, index)


def _quoted(name: str | None) -> str:
    return f"`{name}`" if name else "a value"
