"""From the text of a condition to a syntax tree: the part of CEL that conditions need.

Left out on purpose, each refused with a place: unsigned numbers (`1u`), bytes, messages, computed patterns.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NoReturn

from services.condition.tree import Call, Chain, Choice, ListOf, Literal, Macro, MapOf, Name, Node, Select

MAX_SOURCE: Final = 8192  # characters
MAX_NESTING: Final = 32  # parentheses, arguments, branches
INT_MIN, INT_MAX = -(2**63), 2**63 - 1
MACROS: Final = {"all": (2,), "exists": (2,), "exists_one": (2,), "filter": (2,), "map": (2, 3)}
RESERVED: Final = frozenset(
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
    """The text is not a condition. `line` and `column` count from 1."""

    def __init__(self, line: int, column: int, detail: str) -> None:
        super().__init__(f"line {line}, column {column}: {detail}")
        self.line, self.column, self.detail = line, column, detail


@dataclass(frozen=True, slots=True)
class Token:
    kind: str  # "number" "text" "word" "sign" "end"
    text: str
    at: int


_QUOTED = r'"""(?:\\.|[^\\])*?"""' + r"|'''(?:\\.|[^\\])*?'''" + r'|"(?:\\.|[^"\\\n\r])*"' + r"|'(?:\\.|[^'\\\n\r])*'"
_RAW = r'[rR](?:""".*?"""' + r"|'''.*?'''" + r'|"[^"\n\r]*"' + r"|'[^'\n\r]*')"
_TOKEN = re.compile(
    rf"(?P<space>[ \t\r\n\f]+|//[^\n]*)|(?P<text>{_RAW}|{_QUOTED})"
    r"|(?P<number>0[xX][0-9a-fA-F]+|\d+\.\d+(?:[eE][+-]?\d+)?|\d+[eE][+-]?\d+|\.\d+(?:[eE][+-]?\d+)?|\d+)"
    r"|(?P<word>[A-Za-z_][A-Za-z0-9_]*)|(?P<sign>&&|\|\||[=!<>]=|[-+*/%!<>?:.,()\[\]{}])",
    re.DOTALL,
)
_ESCAPE = re.compile(r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-3][0-7]{2})|(.))", re.DOTALL)
_SIMPLE = dict(zip("abfnrtv\\?\"'`", "\a\b\f\n\r\t\v\\?\"'`", strict=True))


def place(source: str, at: int) -> tuple[int, int]:
    """Line and column, from 1, of an offset."""
    return source.count("\n", 0, at) + 1, at - source.rfind("\n", 0, at)


def parse(source: str) -> Node:
    """The tree of a condition. Raises ConditionSyntaxError."""
    if len(source) > MAX_SOURCE:
        raise ConditionSyntaxError(1, MAX_SOURCE + 1, f"a condition has at most {MAX_SOURCE} characters")
    return _Parser(source).whole()


def _tokens(source: str) -> list[Token]:
    tokens, at = [], 0
    while at < len(source):
        found = _TOKEN.match(source, at)
        if found is None:
            what = "text without its closing quote" if source[at] in "\"'" else f"unexpected character {source[at]!r}"
            raise ConditionSyntaxError(*place(source, at), what)
        if found.lastgroup != "space":
            tokens.append(Token(str(found.lastgroup), found.group(), at))
        at = found.end()
    return [*tokens, Token("end", "the end", len(source))]


class _Parser:
    """Recursive descent; one method per level of precedence."""

    def __init__(self, source: str) -> None:
        self.source, self.tokens, self.next, self.depth = source, _tokens(source), 0, 0

    def fail(self, at: int, detail: str) -> NoReturn:
        raise ConditionSyntaxError(*place(self.source, at), detail)

    @property
    def token(self) -> Token:
        return self.tokens[self.next]

    def take(self, *signs: str) -> Token | None:
        token = self.token
        if token.text in signs and token.kind in ("sign", "word"):
            self.next += 1
            return token
        return None

    def need(self, sign: str) -> Token:
        return self.take(sign) or self.fail(self.token.at, f"expected {sign!r}, found {self.token.text!r}")

    def whole(self) -> Node:
        tree = self.expression()
        if self.token.kind != "end":
            self.fail(self.token.at, f"unexpected {self.token.text!r}")
        return tree

    def expression(self) -> Node:
        self.depth += 1
        if self.depth > MAX_NESTING:
            self.fail(self.token.at, f"nested deeper than {MAX_NESTING} levels")
        tree = self.either()
        if mark := self.take("?"):
            then = self.either()
            self.need(":")
            tree = Choice(mark.at, tree, then, self.expression())
        self.depth -= 1
        return tree

    def either(self) -> Node:
        return self.chain("||", True, self.both)

    def both(self) -> Node:
        return self.chain("&&", False, self.relation)

    def chain(self, sign: str, decides: bool, operand: Callable[[], Node]) -> Node:
        items = [operand()]
        while self.take(sign):
            items.append(operand())
        return items[0] if len(items) == 1 else Chain(items[0].at, decides, tuple(items))

    def relation(self) -> Node:
        return self.left(("<=", "<", ">=", ">", "==", "!=", "in"), self.sum)

    def sum(self) -> Node:
        return self.left(("+", "-"), self.product)

    def product(self) -> Node:
        return self.left(("*", "/", "%"), self.unary)

    def left(self, signs: tuple[str, ...], operand: Callable[[], Node]) -> Node:
        tree = operand()
        while sign := self.take(*signs):
            tree = Call(sign.at, sign.text, None, (tree, operand()))
        return tree

    def unary(self) -> Node:
        signs = []
        while sign := self.take("!", "-"):
            signs.append(sign)
        if len(signs) > MAX_NESTING:
            self.fail(signs[0].at, f"nested deeper than {MAX_NESTING} levels")
        negative = bool(signs) and signs[-1].text == "-" and self.token.kind == "number"
        tree = self.member(self.number(signs.pop())) if negative else self.member(self.primary())
        for sign in reversed(signs):
            tree = Call(sign.at, "not" if sign.text == "!" else "negate", None, (tree,))
        return tree

    def member(self, tree: Node) -> Node:
        while sign := self.take(".", "["):
            if sign.text == "[":
                tree = Call(sign.at, "index", None, (tree, self.expression()))
                self.need("]")
                continue
            word = self.token
            if word.kind != "word":
                self.fail(word.at, f"expected a field name, found {word.text!r}")
            self.next += 1
            tree = self.call(word, tree) if self.take("(") else Select(word.at, tree, word.text)
        return tree

    def primary(self) -> Node:
        token = self.token
        if token.kind == "number":
            return self.number(None)
        self.next += 1
        if token.kind == "text":
            return Literal(token.at, self.unquote(token))
        if token.kind == "word" and token.text in ("true", "false", "null"):
            return Literal(token.at, {"true": True, "false": False, "null": None}[token.text])
        if token.kind == "word" and token.text not in RESERVED:
            return self.call(token, None) if self.take("(") else Name(token.at, token.text)
        if token.text == "(":
            tree = self.expression()
            self.need(")")
            return tree
        if token.text == "[":
            return ListOf(token.at, self.listed("]"))
        if token.text == "{":
            return MapOf(token.at, self.entries())
        return self.fail(token.at, f"unexpected {token.text!r}")

    def listed(self, end: str) -> tuple[Node, ...]:
        items: list[Node] = []
        while not self.take(end):
            if items:
                self.need(",")
                if end == "]" and self.take(end):
                    break
            items.append(self.expression())
        return tuple(items)

    def entries(self) -> tuple[tuple[Node, Node], ...]:
        entries: list[tuple[Node, Node]] = []
        while not self.take("}"):
            if entries:
                self.need(",")
                if self.take("}"):
                    break
            key = self.expression()
            self.need(":")
            entries.append((key, self.expression()))
        return tuple(entries)

    def call(self, word: Token, target: Node | None) -> Node:
        args = self.listed(")")
        if word.text == "has" and target is None:
            if len(args) != 1 or not isinstance(args[0], Select):
                self.fail(word.at, "has() takes one field, as in has(event.data.total)")
            return Select(word.at, args[0].of, args[0].field, test=True)
        if target is not None and len(args) in MACROS.get(word.text, ()):
            variable = args[0]
            if not isinstance(variable, Name):
                self.fail(args[0].at, f"the first argument of {word.text}() is a plain name")
            return Macro(word.at, word.text, target, variable.name, args[1:])
        return Call(word.at, word.text, target, args)

    def number(self, minus: Token | None) -> Node:
        token = self.token
        self.next += 1
        if self.token.kind == "word" and self.token.at == token.at + len(token.text):
            self.fail(self.token.at, f"unexpected {self.token.text!r} after a number")
        sign, at = (-1, minus.at) if minus else (1, token.at)
        if token.text[:2] in ("0x", "0X"):
            value: int | float = sign * int(token.text, 16)
        elif token.text.isdigit():
            value = sign * int(token.text) if len(token.text) < 20 else 2**64
        else:
            value = sign * float(token.text)
        if isinstance(value, int) and not INT_MIN <= value <= INT_MAX:
            self.fail(at, "a whole number lies between -2^63 and 2^63 - 1")
        return Literal(at, value)

    def unquote(self, token: Token) -> str:
        raw = token.text[0] in "rR"
        text = token.text[1:] if raw else token.text
        fence = 3 if text[:3] in ('"""', "'''") else 1
        body = text[fence:-fence]
        return body if raw else _ESCAPE.sub(lambda found: self.unescape(token, found), body)

    def unescape(self, token: Token, found: re.Match[str]) -> str:
        two, four, eight, octal, simple = found.groups()
        if simple is not None:
            return _SIMPLE.get(simple) or self.fail(token.at, f"unknown escape {found.group()!r} in a text")
        code = int(octal, 8) if octal else int(two or four or eight, 16)
        if code > 0x10FFFF or 0xD800 <= code <= 0xDFFF:
            self.fail(token.at, f"{found.group()!r} is not a character")
        return chr(code)
