"""Translates templates to Python functions: python-liquid's parsed tree is walked once and written as source.

Why: rendering a translated e-mail takes a fraction of python-liquid's time (docs/decisions/0007). Invariants: a
translation gives exactly the text that python-liquid would give, or raises one of FALLBACK_ERRORS, and then python-
liquid renders. Its limits are narrower, so what python-liquid would refuse for size or work it never renders. The
source consists of fixed words and generated names; text of the template is only ever bound to such a name, never
written into the source.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from io import StringIO
from time import perf_counter
from typing import Any, Final

from liquid import Markup, escape
from liquid.ast import BlockNode, Node
from liquid.builtin.content import ContentNode
from liquid.builtin.expressions import FilteredExpression, Path, StringLiteral
from liquid.builtin.tags.assign_tag import AssignNode
from liquid.builtin.tags.capture_tag import CaptureNode
from liquid.builtin.tags.case_tag import CaseNode, MultiExpressionBlockNode
from liquid.builtin.tags.comment_tag import CommentNode
from liquid.builtin.tags.doc_tag import DocNode
from liquid.builtin.tags.for_tag import BreakNode, ContinueNode, ForNode
from liquid.builtin.tags.if_tag import IfNode
from liquid.builtin.tags.inline_comment_tag import InlineCommentNode
from liquid.builtin.tags.unless_tag import UnlessNode
from liquid.template import BoundTemplate

from services.template import runtime
from services.template.engine import MAX_STEPS, PlainEcho, PlainOutput
from services.template.expressions import EnclosingLoop, ExpressionTranslator, Untranslatable
from services.template.runtime import MAX_ITERATIONS, MAX_SECONDS

TemplateFunction = Callable[[Mapping[str, Any]], str]
"""A translated template: renders the text for a context. Raises one of runtime.FALLBACK_ERRORS."""

MAX_NODES: Final = 1000
MAX_DEPTH: Final = 12  # blocks in blocks; Python's own limit on loops in loops is 20
MAX_ALTERNATIVES: Final = 50
DEADLINE_CHECK: Final = "if clock() > stop: doubt()"
CHECK_EVERY: Final = 32  # nodes between two checks of the time
_BRANCHES: Final = (IfNode, UnlessNode, CaseNode)
"""Checked before each: their conditions may search through lists, and a check inside of them may be passed over."""


def translate_template(parsed: BoundTemplate, assigned: frozenset[str]) -> TemplateFunction | None:
    """Translates a template, or returns None if it contains what only python-liquid renders.

    `assigned`: the names that the template assigns.
    """
    writer = _SourceWriter(parsed, assigned)
    try:
        writer.write_nodes(parsed.nodes, silent=False)
        return writer.compile_function()
    except (Untranslatable, RecursionError):  # Python's compiler takes a path of a thousand names for too deep
        return None


class _SourceWriter:
    """Writes the function's source line by line. `silent`: inside a block whose white space is not output."""

    def __init__(self, parsed: BoundTemplate, assigned: frozenset[str]) -> None:
        html = parsed.env.autoescape
        self.expressions = ExpressionTranslator(parsed, assigned)
        self.bind = self.expressions.bind
        self.expressions.names |= {
            "assign": runtime.assign_variable,
            "cut": runtime.slice_items,
            "doubt": runtime.require_engine,
            "items": runtime.loop_items,
            "joined": runtime.join_parts,
        }
        self.expressions.names |= {"there": runtime.path_formatter(html), "plain": runtime.value_formatter(html)}
        self.expressions.names |= {"escape": escape, "clock": perf_counter, "Markup": Markup}
        self._text_code = "escape(v)" if html else "v"
        self._capture_code = "Markup(joined(parts))" if html else "joined(parts)"
        self._lines: list[str] = []
        self._pending_output: list[str] = []
        self._constant = ""
        self._depth = self._node_count = 0
        self._next_check = CHECK_EVERY
        self._loop_exit_allowed = False

    def compile_function(self) -> TemplateFunction:
        """Compiles what was written to a function."""
        self._flush()
        most = min(MAX_ITERATIONS, MAX_STEPS // (self._node_count + 1) - 1)
        head = ["def render(context):", " own, parts = {}, []", f" left, stop = {most}, clock() + {MAX_SECONDS}"]
        source = "\n".join([*head, *self._lines, " return joined(parts)"])
        exec(compile(source, "<template>", "exec"), self.expressions.names)  # noqa: S102 - fixed words and counted names only
        function: TemplateFunction = self.expressions.names["render"]
        return function

    def write_nodes(self, nodes: list[Node], silent: bool) -> None:
        """Writes nodes in order."""
        for node in nodes:
            self._node_count += 1
            if type(node) not in _NODE_WRITERS or self._node_count > MAX_NODES:
                raise Untranslatable
            if self._node_count >= self._next_check or type(node) in _BRANCHES:
                self._next_check = self._node_count + CHECK_EVERY
                self._write_line(DEADLINE_CHECK)
            _NODE_WRITERS[type(node)](self, node, silent)

    def write_block(self, block: BlockNode, silent: bool, first: str = "pass") -> None:
        """Writes a block below the last line, starting with a line of its own."""
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise Untranslatable
        self._write_line(first)
        self._write_nested(block, silent or block.blank)
        self._depth -= 1

    def _write_nested(self, block: BlockNode, silent: bool) -> None:
        self._node_count += 1
        self.write_nodes(block.nodes, silent)
        self._flush()

    @contextmanager
    def _allow_loop_exit(self, allowed: bool) -> Iterator[None]:
        """Allows `break` and `continue` in the meantime."""
        previous, self._loop_exit_allowed = self._loop_exit_allowed, allowed
        yield
        self._loop_exit_allowed = previous

    def _write_line(self, code: str) -> None:
        self._flush()
        self._lines.append(" " * (self._depth + 1) + code)

    def _add_output(self, code: str) -> None:
        self._end_constant()
        self._pending_output.append(code)

    def _end_constant(self) -> None:
        if self._constant:
            self._pending_output.append(self.bind(self._constant))
            self._constant = ""

    def _flush(self) -> None:
        self._end_constant()
        if self._pending_output:
            pieces = ", ".join(self._pending_output)
            self._pending_output = []
            self._write_line(f"parts += ({pieces},)")

    def _write_content(self, node: ContentNode, silent: bool) -> None:
        if not silent:
            buffer = StringIO(None, None)  # changes line ends as python-liquid's buffer does
            buffer.write(node.text)
            self._constant += buffer.getvalue()

    def _write_output(self, node: PlainOutput, silent: bool) -> None:
        expression = node.expression
        if isinstance(expression, FilteredExpression) and not expression.filters:
            expression = expression.left
        if isinstance(expression, Path):
            code, formatter = self.expressions.translate_path(expression), "there"
        else:
            code, formatter = self.expressions.translate_value(expression), "plain"
        self._add_output(f"({self._text_code} if (v := {code}).__class__ is str else {formatter}(v))")

    def _write_if(self, node: IfNode | UnlessNode, silent: bool) -> None:
        if len(node.alternatives) > MAX_ALTERNATIVES:
            raise Untranslatable
        negation = "not " if isinstance(node, UnlessNode) else ""
        self._write_line(f"if {negation}{self.expressions.translate_condition(node.condition)}:")
        self.write_block(node.consequence, silent)
        for each in node.alternatives:
            self._write_line(f"elif {self.expressions.translate_condition(each.expression)}:")
            self.write_block(each.block, silent)
        if node.default:
            self._write_line("else:")
            self.write_block(node.default, silent)

    def _write_case(self, node: CaseNode, silent: bool) -> None:
        n = self._node_count
        self._write_line(f"e{n} = True")
        for each in node.blocks:
            if isinstance(each, MultiExpressionBlockNode):
                left, rights = each.expression.left, each.expression.expressions
                if len(rights) > MAX_ALTERNATIVES:
                    raise Untranslatable
                found = " + ".join(
                    f"equal({self.expressions.translate_value(left)}, {self.expressions.translate_value(right)})"
                    for right in rights
                )
                self._write_line(f"m{n} = {found}")
                self._write_line(f"if m{n}:")
                self.write_block(each.block, silent, f"e{n} = False if m{n} == 1 else doubt()")
            else:
                self._write_line(f"if e{n}:")
                self.write_block(each, silent)

    def _write_for(self, node: ForNode, silent: bool) -> None:
        n, loop = self._node_count, node.expression
        if loop.identifier == "forloop" or isinstance(loop.offset, StringLiteral):
            raise Untranslatable
        code = f"items({self.expressions.translate_iterable(loop.iterable)})"
        if loop.limit or loop.offset or loop.reversed:
            limit, offset = (
                self.expressions.translate_value(each) if each else "..." for each in (loop.limit, loop.offset)
            )
            code = f"cut({code}, {limit}, {offset}, {bool(loop.reversed)})"
        self._write_line(f"s{n} = {code}")
        self._write_line(f"if s{n}:")
        self._depth += 1
        self._write_line(f"n{n} = len(s{n}); left -= n{n}")
        self._write_line("if left < 0: doubt()")
        self._write_line(f"for x{n}, i{n} in enumerate(s{n}):")
        self.expressions.loops.append(EnclosingLoop(loop.identifier, n))
        with self._allow_loop_exit(True):
            self.write_block(node.block, silent, DEADLINE_CHECK)
        self.expressions.loops.pop()
        self._depth -= 1
        if node.default:
            self._write_line("else:")
            self.write_block(node.default, silent)

    def _write_loop_exit(self, node: BreakNode | ContinueNode, silent: bool) -> None:
        if not self._loop_exit_allowed:
            raise Untranslatable
        self._write_line("break" if isinstance(node, BreakNode) else "continue")

    def _write_assign(self, node: AssignNode, silent: bool) -> None:
        self._write_line(
            f"assign(own, {self.bind(str(node.name))}, {self.expressions.translate_value(node.expression)})"
        )

    def _write_capture(self, node: CaptureNode, silent: bool) -> None:
        n = self._node_count
        self._write_line(f"p{n}, parts = parts, []")
        with self._allow_loop_exit(False):
            self._write_nested(node.block, node.block.blank)
        self._write_line(f"assign(own, {self.bind(str(node.name))}, {self._capture_code}); parts = p{n}")

    def _write_nothing(self, node: Node, silent: bool) -> None:
        pass


_NODE_WRITERS: Final[Mapping[type[Node], Callable[[_SourceWriter, Any, bool], None]]] = {
    ContentNode: _SourceWriter._write_content,
    PlainOutput: _SourceWriter._write_output,
    PlainEcho: _SourceWriter._write_output,
    IfNode: _SourceWriter._write_if,
    UnlessNode: _SourceWriter._write_if,
    CaseNode: _SourceWriter._write_case,
    ForNode: _SourceWriter._write_for,
    BreakNode: _SourceWriter._write_loop_exit,
    ContinueNode: _SourceWriter._write_loop_exit,
    AssignNode: _SourceWriter._write_assign,
    CaptureNode: _SourceWriter._write_capture,
    CommentNode: _SourceWriter._write_nothing,
    InlineCommentNode: _SourceWriter._write_nothing,
    DocNode: _SourceWriter._write_nothing,
}
