"""Parser of conditions: the part of CEL that conditions need.

Deliberately left out, each refused with its position: unsigned numbers (`1u`), bytes, messages, computed patterns.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NoReturn

from services.condition.tree import (
    Call,
    Conditional,
    ListLiteral,
    Literal,
    LogicalChain,
    Macro,
    MapLiteral,
    Name,
    Node,
    Select,
)

MAX_CONDITION_LENGTH: Final = 8192  # characters
MAX_NESTING: Final = 32  # parentheses, arguments, branches
INT_MIN, INT_MAX = -(2**63), 2**63 - 1
MACROS: Final = {"all": (2,), "exists": (2,), "exists_one": (2,), "filter": (2,), "map": (2, 3)}
RESERVED_WORDS: Final = frozenset(
    {
        "as",
        "break",
        "const",
        "continue",
        "else",
        "false",
        "for",
        "function",
        "if",
        "import",
        "in",
        "let",
        "loop",
        "namespace",
        "null",
        "package",
        "return",
        "true",
        "var",
        "void",
        "while",
    }
)


class ConditionSyntaxError(ValueError):
    """The text is not a valid condition. `line` and `column` count from 1."""

    def __init__(self, line: int, column: int, detail: str) -> None:
        super().__init__(f"line {line}, column {column}: {detail}")
        self.line, self.column, self.detail = line, column, detail


@dataclass(frozen=True, slots=True)
class SyntaxToken:
    kind: str  # "number" "text" "word" "sign" "end"
    text: str
    offset: int


_QUOTED = r'"""(?:\\.|[^\\])*?"""' + r"|'''(?:\\.|[^\\])*?'''" + r'|"(?:\\.|[^"\\\n\r])*"' + r"|'(?:\\.|[^'\\\n\r])*'"
_RAW = r'[rR](?:""".*?"""' + r"|'''.*?'''" + r'|"[^"\n\r]*"' + r"|'[^'\n\r]*')"
_TOKEN = re.compile(
    rf"(?P<space>[ \t\r\n\f]+|//[^\n]*)|(?P<text>{_RAW}|{_QUOTED})"
    r"|(?P<number>0[xX][0-9a-fA-F]+|\d+\.\d+(?:[eE][+-]?\d+)?|\d+[eE][+-]?\d+|\.\d+(?:[eE][+-]?\d+)?|\d+)"
    r"|(?P<word>[A-Za-z_][A-Za-z0-9_]*)|(?P<sign>&&|\|\||[=!<>]=|[-+*/%!<>?:.,()\[\]{}])",
    re.DOTALL,
)
_ESCAPE = re.compile(r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-3][0-7]{2})|(.))", re.DOTALL)
_SIMPLE_ESCAPES = dict(zip("abfnrtv\\?\"'`", "\a\b\f\n\r\t\v\\?\"'`", strict=True))


def line_and_column(source: str, offset: int) -> tuple[int, int]:
    """Returns line and column (from 1) of an offset."""
    return source.count("\n", 0, offset) + 1, offset - source.rfind("\n", 0, offset)


def parse_condition(source: str) -> Node:
    """Parses a condition. Raises ConditionSyntaxError."""
    if len(source) > MAX_CONDITION_LENGTH:
        raise ConditionSyntaxError(
            1, MAX_CONDITION_LENGTH + 1, f"a condition has at most {MAX_CONDITION_LENGTH} characters"
        )
    return _Parser(source).parse_whole()


def _tokenise(source: str) -> list[SyntaxToken]:
    tokens, offset = [], 0
    while offset < len(source):
        found = _TOKEN.match(source, offset)
        if found is None:
            what = (
                "text without its closing quote"
                if source[offset] in "\"'"
                else f"unexpected character {source[offset]!r}"
            )
            raise ConditionSyntaxError(*line_and_column(source, offset), what)
        if found.lastgroup != "space":
            tokens.append(SyntaxToken(str(found.lastgroup), found.group(), offset))
        offset = found.end()
    return [*tokens, SyntaxToken("end", "the end", len(source))]


class _Parser:
    """A recursive descent parser; one method per precedence level."""

    def __init__(self, source: str) -> None:
        self.source, self.tokens, self.position, self.depth = source, _tokenise(source), 0, 0

    def fail(self, offset: int, detail: str) -> NoReturn:
        raise ConditionSyntaxError(*line_and_column(self.source, offset), detail)

    @property
    def token(self) -> SyntaxToken:
        return self.tokens[self.position]

    def accept(self, *signs: str) -> SyntaxToken | None:
        token = self.token
        if token.text in signs and token.kind in ("sign", "word"):
            self.position += 1
            return token
        return None

    def expect(self, sign: str) -> SyntaxToken:
        return self.accept(sign) or self.fail(self.token.offset, f"expected {sign!r}, found {self.token.text!r}")

    def parse_whole(self) -> Node:
        tree = self.parse_expression()
        if self.token.kind != "end":
            self.fail(self.token.offset, f"unexpected {self.token.text!r}")
        return tree

    def parse_expression(self) -> Node:
        self.depth += 1
        if self.depth > MAX_NESTING:
            self.fail(self.token.offset, f"nested deeper than {MAX_NESTING} levels")
        tree = self.parse_or()
        if question_mark := self.accept("?"):
            then = self.parse_or()
            self.expect(":")
            tree = Conditional(question_mark.offset, tree, then, self.parse_expression())
        self.depth -= 1
        return tree

    def parse_or(self) -> Node:
        return self.parse_chain("||", True, self.parse_and)

    def parse_and(self) -> Node:
        return self.parse_chain("&&", False, self.parse_relation)

    def parse_chain(self, sign: str, short_circuit: bool, operand: Callable[[], Node]) -> Node:
        items = [operand()]
        while self.accept(sign):
            items.append(operand())
        return items[0] if len(items) == 1 else LogicalChain(items[0].offset, short_circuit, tuple(items))

    def parse_relation(self) -> Node:
        return self.parse_left_associative(("<=", "<", ">=", ">", "==", "!=", "in"), self.parse_sum)

    def parse_sum(self) -> Node:
        return self.parse_left_associative(("+", "-"), self.parse_product)

    def parse_product(self) -> Node:
        return self.parse_left_associative(("*", "/", "%"), self.parse_unary)

    def parse_left_associative(self, signs: tuple[str, ...], operand: Callable[[], Node]) -> Node:
        tree = operand()
        while sign := self.accept(*signs):
            tree = Call(sign.offset, sign.text, None, (tree, operand()))
        return tree

    def parse_unary(self) -> Node:
        signs = []
        while sign := self.accept("!", "-"):
            signs.append(sign)
        if len(signs) > MAX_NESTING:
            self.fail(signs[0].offset, f"nested deeper than {MAX_NESTING} levels")
        negative = bool(signs) and signs[-1].text == "-" and self.token.kind == "number"
        tree = (
            self.parse_member(self.parse_number(signs.pop())) if negative else self.parse_member(self.parse_primary())
        )
        for sign in reversed(signs):
            tree = Call(sign.offset, "not" if sign.text == "!" else "negate", None, (tree,))
        return tree

    def parse_member(self, tree: Node) -> Node:
        while sign := self.accept(".", "["):
            if sign.text == "[":
                tree = Call(sign.offset, "index", None, (tree, self.parse_expression()))
                self.expect("]")
                continue
            word = self.token
            if word.kind != "word":
                self.fail(word.offset, f"expected a field name, found {word.text!r}")
            self.position += 1
            tree = self.parse_call(word, tree) if self.accept("(") else Select(word.offset, tree, word.text)
        return tree

    def parse_primary(self) -> Node:
        token = self.token
        if token.kind == "number":
            return self.parse_number(None)
        self.position += 1
        if token.kind == "text":
            return Literal(token.offset, self.unquote(token))
        if token.kind == "word" and token.text in ("true", "false", "null"):
            return Literal(token.offset, {"true": True, "false": False, "null": None}[token.text])
        if token.kind == "word" and token.text not in RESERVED_WORDS:
            return self.parse_call(token, None) if self.accept("(") else Name(token.offset, token.text)
        if token.text == "(":
            tree = self.parse_expression()
            self.expect(")")
            return tree
        if token.text == "[":
            return ListLiteral(token.offset, self.parse_list("]"))
        if token.text == "{":
            return MapLiteral(token.offset, self.parse_entries())
        return self.fail(token.offset, f"unexpected {token.text!r}")

    def parse_list(self, end: str) -> tuple[Node, ...]:
        items: list[Node] = []
        while not self.accept(end):
            if items:
                self.expect(",")
                if end == "]" and self.accept(end):
                    break
            items.append(self.parse_expression())
        return tuple(items)

    def parse_entries(self) -> tuple[tuple[Node, Node], ...]:
        entries: list[tuple[Node, Node]] = []
        while not self.accept("}"):
            if entries:
                self.expect(",")
                if self.accept("}"):
                    break
            key = self.parse_expression()
            self.expect(":")
            entries.append((key, self.parse_expression()))
        return tuple(entries)

    def parse_call(self, word: SyntaxToken, target: Node | None) -> Node:
        args = self.parse_list(")")
        if word.text == "has" and target is None:
            if len(args) != 1 or not isinstance(args[0], Select):
                self.fail(word.offset, "has() takes one field, as in has(event.data.total)")
            return Select(word.offset, args[0].operand, args[0].field, is_presence_test=True)
        if target is not None and len(args) in MACROS.get(word.text, ()):
            variable = args[0]
            if not isinstance(variable, Name):
                self.fail(args[0].offset, f"the first argument of {word.text}() is a plain name")
            return Macro(word.offset, word.text, target, variable.name, args[1:])
        return Call(word.offset, word.text, target, args)

    def parse_number(self, minus: SyntaxToken | None) -> Node:
        token = self.token
        self.position += 1
        if self.token.kind == "word" and self.token.offset == token.offset + len(token.text):
            self.fail(self.token.offset, f"unexpected {self.token.text!r} after a number")
        sign, offset = (-1, minus.offset) if minus else (1, token.offset)
        if token.text[:2] in ("0x", "0X"):
            value: int | float = sign * int(token.text, 16)
        elif token.text.isdigit():
            value = sign * int(token.text) if len(token.text) < 20 else 2**64
        else:
            value = sign * float(token.text)
        if isinstance(value, int) and not INT_MIN <= value <= INT_MAX:
            self.fail(offset, "a whole number lies between -2^63 and 2^63 - 1")
        return Literal(offset, value)

    def unquote(self, token: SyntaxToken) -> str:
        raw = token.text[0] in "rR"
        text = token.text[1:] if raw else token.text
        quote_length = 3 if text[:3] in ('"""', "'''") else 1
        body = text[quote_length:-quote_length]
        return body if raw else _ESCAPE.sub(lambda found: self.unescape(token, found), body)

    def unescape(self, token: SyntaxToken, found: re.Match[str]) -> str:
        two, four, eight, octal, simple = found.groups()
        if simple is not None:
            return _SIMPLE_ESCAPES.get(simple) or self.fail(token.offset, f"unknown escape {found.group()!r} in a text")
        code = int(octal, 8) if octal else int(two or four or eight, 16)
        if code > 0x10FFFF or 0xD800 <= code <= 0xDFFF:
            self.fail(token.offset, f"{found.group()!r} is not a character")
        return chr(code)
