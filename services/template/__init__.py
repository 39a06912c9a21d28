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
from typing import Any, Final

from liquid.exceptions import LiquidError, OutputStreamLimitError, ResourceLimitError, UndefinedError
from liquid.static_analysis import TemplateAnalysis
from liquid.template import BoundTemplate

from services.template.engine import MAX_OUTPUT, BudgetedContext, create_environment
from services.template.html import check_html, check_output_positions, link_scheme_allowed
from services.template.runtime import FALLBACK_ERRORS, MAX_SECONDS
from services.template.template_errors import RenderError, TemplateSyntaxError
from services.template.translate import translate_template

__all__ = ["RenderError", "Template", "TemplateSyntaxError", "check_html", "compile_template", "link_scheme_allowed"]

MAX_TEMPLATE_BYTES: Final = 64 * 1024  # bytes
_PATH_PATTERN: Final = re.compile(r"[A-Za-z_][\w.\-]*")


class Template:
    """A parsed template. It may be rendered any number of times, from any thread."""

    __slots__ = ("_parsed", "_variables", "html", "source", "translation")

    def __init__(self, source: str, html: bool, parsed: BoundTemplate, analysis: TemplateAnalysis) -> None:
        self.source, self.html, self._parsed = source, html, parsed
        self._variables = frozenset(str(each) for uses in analysis.globals.values() for each in uses)
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
            raise RenderError(*self._describe_error(error)) from None
        except (TypeError, ValueError, ArithmeticError, KeyError, IndexError, RecursionError) as error:
            raise RenderError("wrong_type", f"a value does not fit: {type(error).__name__}") from None
        return buffer.getvalue()

    def variables(self) -> frozenset[str]:
        """Returns the paths that the template reads, such as `customer.traits.name`."""
        return self._variables

    def _describe_error(self, error: LiquidError) -> tuple[str, str]:
        line, column = _error_position(error)
        if isinstance(error, UndefinedError):
            start = error.token.start_index if error.token else -1
            path = _PATH_PATTERN.search(self.source, start) if start >= 0 else None
            subject = f"`{path.group()}`" if path else "a value"
            return (
                "undefined",
                f"line {line}, column {column}: {subject} has no value; the default filter can give it one",
            )
        if isinstance(error, OutputStreamLimitError):
            return "too_large", f"the text is larger than {MAX_OUTPUT} bytes"
        if isinstance(error, ResourceLimitError):
            return "too_much_work", f"line {line}, column {column}: {error.message}"
        return "wrong_type", f"line {line}, column {column}: a value does not fit here"


def compile_template(source: str, html: bool) -> Template:
    """Compiles a template; with `html` its values are escaped. Raises TemplateSyntaxError."""
    if len(source.encode("utf-8", "replace")) > MAX_TEMPLATE_BYTES:
        raise TemplateSyntaxError(1, 1, f"a template has at most {MAX_TEMPLATE_BYTES} bytes")
    try:
        parsed = _ENVIRONMENTS[html].from_string(source)
        analysis = parsed.analyze(include_partials=False)
        for name in sorted(analysis.filters.keys() - _ENVIRONMENTS[html].filters):
            raise TemplateSyntaxError(*_filter_position(source, name), f"unknown filter `{name}`")
    except LiquidError as error:
        detail = str(error.message or "not a template").splitlines()[0]
        raise TemplateSyntaxError(*_error_position(error), detail) from None
    except (RecursionError, ValueError) as error:
        if isinstance(error, TemplateSyntaxError):
            raise
        raise TemplateSyntaxError(1, 1, "not a template") from None
    if html:
        check_output_positions(source)
    return Template(source, html, parsed, analysis)


_ENVIRONMENTS: Final = {True: create_environment(html=True), False: create_environment(html=False)}


def _error_position(error: LiquidError) -> tuple[int, int]:
    found = error.context()
    return (found[0], found[1] + 1) if found else (1, 1)


def _filter_position(source: str, name: str) -> tuple[int, int]:
    found = re.search(rf"\|\s*({re.escape(name)})\b", source)
    at = found.start(1) if found else 0
    return source.count("\n", 0, at) + 1, at - source.rfind("\n", 0, at)
