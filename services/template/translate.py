"""Templates as Python functions: python-liquid's parsed tree is walked once and written down as source.

A translation gives the text that python-liquid would give, or raises one of DOUBTS, and then python-liquid is asked.
So it holds the common cases only, and its bounds are narrower: what python-liquid would refuse for its size or work, it
never renders. The source consists of fixed words and counted names; whatever a template says is bound to such a name.
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
from liquid.builtin.output import OutputNode
from liquid.builtin.tags.assign_tag import AssignNode
from liquid.builtin.tags.capture_tag import CaptureNode
from liquid.builtin.tags.case_tag import CaseNode, MultiExpressionBlockNode
from liquid.builtin.tags.comment_tag import CommentNode
from liquid.builtin.tags.doc_tag import DocNode
from liquid.builtin.tags.echo_tag import EchoNode
from liquid.builtin.tags.for_tag import BreakNode, ContinueNode, ForNode
from liquid.builtin.tags.if_tag import IfNode
from liquid.builtin.tags.inline_comment_tag import InlineCommentNode
from liquid.builtin.tags.unless_tag import UnlessNode
from liquid.template import BoundTemplate

from services.template import runtime
from services.template.engine import MAX_STEPS
from services.template.expressions import Expressions, Loop, Untranslatable
from services.template.runtime import MAX_ITERATIONS, MAX_SECONDS

Translation = Callable[[Mapping[str, Any]], str]
"""The text for a context. Raises one of runtime.DOUBTS."""

MAX_NODES: Final = 1000
MAX_DEPTH: Final = 12  # blocks in blocks; Python's own limit on loops in loops is 20
MAX_ALTERNATIVES: Final = 50
LATE: Final = "if clock() > stop: doubt()"
CHECK_EVERY: Final = 32  # nodes between two looks at the clock


def translate(parsed: BoundTemplate, assigned: frozenset[str]) -> Translation | None:
    """The template as a function, or None where it holds what only python-liquid renders.

    `assigned`: the names that the template gives values to.
    """
    writer = _Writer(parsed, assigned)
    try:
        writer.nodes(parsed.nodes, silent=False)
    except Untranslatable:
        return None
    return writer.function()


class _Writer:
    """Writes the function's source, line by line. `silent`: inside a block whose white space is not written."""

    def __init__(self, parsed: BoundTemplate, assigned: frozenset[str]) -> None:
        html = parsed.env.autoescape
        self.say = Expressions(parsed, assigned)
        self.bind = self.say.bind
        self.say.names |= {name: getattr(runtime, name) for name in ("assign", "cut", "doubt", "items", "joined")}
        self.say.names |= {"there": runtime.shown_if_there(html), "plain": runtime.shown(html)}
        self.say.names |= {"escape": escape, "clock": perf_counter, "Markup": Markup}
        self._shown = "escape(v)" if html else "v"
        self._captured = "Markup(joined(parts))" if html else "joined(parts)"
        self._lines: list[str] = []
        self._pending: list[str] = []
        self._constant = ""
        self._depth = self._count = 0
        self._next_check = CHECK_EVERY
        self._may_leave = False

    def function(self) -> Translation:
        """What was written, as a function."""
        self._flush()
        most = min(MAX_ITERATIONS, MAX_STEPS // (self._count + 1) - 1)
        head = ["def render(context):", " own, parts = {}, []", f" left, stop = {most}, clock() + {MAX_SECONDS}"]
        source = "\n".join([*head, *self._lines, " return joined(parts)"])
        exec(compile(source, "<template>", "exec"), self.say.names)  # noqa: S102 - fixed words and counted names only
        function: Translation = self.say.names["render"]
        return function

    def nodes(self, nodes: list[Node], silent: bool) -> None:
        """Nodes in order."""
        for node in nodes:
            self._count += 1
            if type(node) not in _NODES or self._count > MAX_NODES:
                raise Untranslatable
            if self._count >= self._next_check:
                self._next_check = self._count + CHECK_EVERY
                self._line(LATE)
            _NODES[type(node)](self, node, silent)

    def block(self, block: BlockNode, silent: bool, first: str = "pass") -> None:
        """A block below the line that was written last; it begins with a line of its own."""
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise Untranslatable
        self._line(first)
        self._inner(block, silent or block.blank)
        self._depth -= 1

    def _inner(self, block: BlockNode, silent: bool) -> None:
        self._count += 1
        self.nodes(block.nodes, silent)
        self._flush()

    @contextmanager
    def _leaving(self, may: bool) -> Iterator[None]:
        """Whether `break` and `continue` may be written meanwhile."""
        before, self._may_leave = self._may_leave, may
        yield
        self._may_leave = before

    def _line(self, code: str) -> None:
        self._flush()
        self._lines.append(" " * (self._depth + 1) + code)

    def _piece(self, code: str) -> None:
        self._end_constant()
        self._pending.append(code)

    def _end_constant(self) -> None:
        if self._constant:
            self._pending.append(self.bind(self._constant))
            self._constant = ""

    def _flush(self) -> None:
        self._end_constant()
        if self._pending:
            pieces = ", ".join(self._pending)
            self._pending = []
            self._line(f"parts += ({pieces},)")

    def _content(self, node: ContentNode, silent: bool) -> None:
        if not silent:
            buffer = StringIO(None, None)  # it changes line ends as python-liquid's own buffer does
            buffer.write(node.text)
            self._constant += buffer.getvalue()

    def _output(self, node: OutputNode, silent: bool) -> None:
        expression = node.expression
        if isinstance(expression, FilteredExpression) and not expression.filters:
            expression = expression.left
        if isinstance(expression, Path):
            code, otherwise = self.say.path(expression), "there"
        else:
            code, otherwise = self.say.value(expression), "plain"
        self._piece(f"({self._shown} if (v := {code}).__class__ is str else {otherwise}(v))")

    def _if(self, node: IfNode | UnlessNode, silent: bool) -> None:
        if len(node.alternatives) > MAX_ALTERNATIVES:
            raise Untranslatable
        turned = "not " if isinstance(node, UnlessNode) else ""
        self._line(f"if {turned}{self.say.test(node.condition)}:")
        self.block(node.consequence, silent)
        for each in node.alternatives:
            self._line(f"elif {self.say.test(each.expression)}:")
            self.block(each.block, silent)
        if node.default:
            self._line("else:")
            self.block(node.default, silent)

    def _case(self, node: CaseNode, silent: bool) -> None:
        n = self._count
        self._line(f"e{n} = True")
        for each in node.blocks:
            if isinstance(each, MultiExpressionBlockNode):
                left, rights = each.expression.left, each.expression.expressions
                if len(rights) > MAX_ALTERNATIVES:
                    raise Untranslatable
                found = " + ".join(f"equal({self.say.value(left)}, {self.say.value(right)})" for right in rights)
                self._line(f"m{n} = {found}")
                self._line(f"if m{n}:")
                self.block(each.block, silent, f"e{n} = False if m{n} == 1 else doubt()")
            else:
                self._line(f"if e{n}:")
                self.block(each, silent)

    def _for(self, node: ForNode, silent: bool) -> None:
        n, loop = self._count, node.expression
        if loop.identifier == "forloop" or isinstance(loop.offset, StringLiteral):
            raise Untranslatable
        code = f"items({self.say.iterable(loop.iterable)})"
        if loop.limit or loop.offset or loop.reversed:
            limit, offset = (self.say.value(each) if each else "..." for each in (loop.limit, loop.offset))
            code = f"cut({code}, {limit}, {offset}, {bool(loop.reversed)})"
        self._line(f"s{n} = {code}")
        self._line(f"if s{n}:")
        self._depth += 1
        self._line(f"n{n} = len(s{n}); left -= n{n}")
        self._line("if left < 0: doubt()")
        self._line(f"for x{n}, i{n} in enumerate(s{n}):")
        self.say.loops.append(Loop(loop.identifier, n))
        with self._leaving(True):
            self.block(node.block, silent, LATE)
        self.say.loops.pop()
        self._depth -= 1
        if node.default:
            self._line("else:")
            self.block(node.default, silent)

    def _leave(self, node: BreakNode | ContinueNode, silent: bool) -> None:
        if not self._may_leave:
            raise Untranslatable
        self._line("break" if isinstance(node, BreakNode) else "continue")

    def _assign(self, node: AssignNode, silent: bool) -> None:
        self._line(f"assign(own, {self.bind(str(node.name))}, {self.say.value(node.expression)})")

    def _capture(self, node: CaptureNode, silent: bool) -> None:
        n = self._count
        self._line(f"p{n}, parts = parts, []")
        with self._leaving(False):
            self._inner(node.block, node.block.blank)
        self._line(f"assign(own, {self.bind(str(node.name))}, {self._captured}); parts = p{n}")

    def _nothing(self, node: Node, silent: bool) -> None:
        pass


_NODES: Final[Mapping[type[Node], Callable[[_Writer, Any, bool], None]]] = {
    ContentNode: _Writer._content,
    OutputNode: _Writer._output,
    EchoNode: _Writer._output,
    IfNode: _Writer._if,
    UnlessNode: _Writer._if,
    CaseNode: _Writer._case,
    ForNode: _Writer._for,
    BreakNode: _Writer._leave,
    ContinueNode: _Writer._leave,
    AssignNode: _Writer._assign,
    CaptureNode: _Writer._capture,
    CommentNode: _Writer._nothing,
    InlineCommentNode: _Writer._nothing,
    DocNode: _Writer._nothing,
}
