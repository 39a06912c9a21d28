"""What a channel is, and the small checks that channels share."""

import re
from collections.abc import Mapping
from email.errors import HeaderParseError
from email.header import decode_header
from typing import Any, Protocol
from urllib.parse import urlsplit

from schemas.fields import Document
from services.template import RenderError, Template, TemplateSyntaxError, compile_template

Problem = tuple[str, str, str]  # JSON pointer inside the fields, code, detail
Compiled = Mapping[str, Template]
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_ASCII_CONTROL = bytes([*range(0x20), 0x7F])
_NOT_IN_LINKS = re.compile(r'[\s<>"\\]')
ROOTS = frozenset({"customer", "event", "campaign", "links", "now"})


class BadAddress(ValueError):
    """Not an address of this channel. The text does not repeat the address."""


class Channel(Protocol):
    """One channel: the fields of its content, its kind of address, and how content becomes a message."""

    key: str
    fields: type[Document]

    def normalise(self, address: str) -> str:
        """The one form of an address. Raises BadAddress."""
        ...

    def check(self, content: Mapping[str, str], marketing: bool) -> list[Problem]:
        """What is wrong with content whose fields are known: syntax, limits, the way out of marketing."""
        ...

    def compile(self, content: Mapping[str, str]) -> Compiled:
        """Its templates. Raises TemplateSyntaxError."""
        ...

    def render(self, compiled: Compiled, context: Mapping[str, Any], marketing: bool) -> dict[str, str]:
        """The fields of the message. Raises RenderError."""
        ...

    def preview(self, rendered: Mapping[str, str]) -> dict[str, str | int]:
        """What a person wants to see beside the fields: lengths, parts, what is cut."""
        ...


def check_templates(content: Mapping[str, str], html: frozenset[str] = frozenset()) -> list[Problem]:
    """Syntax errors and unknown names in each field."""
    problems: list[Problem] = []
    for field, source in content.items():
        try:
            template = compile_template(source, field in html)
        except TemplateSyntaxError as error:
            problems.append((f"/{field}", "template_syntax", str(error)))
            continue
        for path in sorted(template.variables()):
            if _root(path) not in ROOTS:
                detail = f"unknown name `{path}`; templates see {', '.join(sorted(ROOTS))}"
                problems.append((f"/{field}", "unknown_name", detail))
    return problems


def compile_fields(content: Mapping[str, str], html: frozenset[str] = frozenset()) -> dict[str, Template]:
    """One template a field."""
    return {field: compile_template(source, field in html) for field, source in content.items()}


def beginnings(compiled: Compiled) -> frozenset[str]:
    """How all paths begin that the templates read: their first word, and the first two or `event.*` if it is open."""
    paths = [path for template in compiled.values() for path in template.variables()]
    return frozenset(map(_root, paths)) | frozenset(map(_two_words, paths))


def _root(path: str) -> str:
    return path.replace("[", ".").split(".")[0]


def _two_words(path: str) -> str:
    words = path.split(".")
    second = words[1] if len(words) > 1 else ""
    return f"{_root(path)}.{second.partition('[')[0] if second and '[' not in words[0] else '*'}"


def has_control(text: str, allowed: str = "") -> bool:
    """True for C0 and C1 controls, and the separators U+2028 and U+2029, beyond those allowed."""
    if text.isascii():
        refused = _ASCII_CONTROL.translate(None, allowed.encode())
        return len(text.encode().translate(None, refused)) < len(text)
    return any(each not in allowed for each in _CONTROL.findall(text))


def one_line(field: str, text: str, limit: int) -> str:
    """A rendered text for one line, safe in a header: no controls, also none inside encoded words."""
    line = text.strip()
    if not line:
        raise RenderError("empty", f"{field} is empty")
    if has_control(line) or ("=?" in line and has_control(_decoded(line))):
        raise RenderError("control_character", f"{field} holds a line break or another control character")
    return within(field, line, limit)


def body(field: str, text: str, limit: int) -> str:
    """A rendered text of several lines."""
    plain = text.strip()
    if not plain:
        raise RenderError("empty", f"{field} is empty")
    if has_control(plain, allowed="\n\r\t"):
        raise RenderError("control_character", f"{field} holds a control character")
    return within(field, plain, limit)


def within(field: str, text: str, limit: int) -> str:
    """The text if it has at most `limit` characters. Raises RenderError."""
    if len(text) > limit:
        raise RenderError("too_long", f"{field} has {len(text)} characters, at most {limit} are allowed")
    return text


def web_link(field: str, text: str) -> str:
    """An absolute https link. Raises RenderError."""
    link = text.strip()
    try:
        parts = urlsplit(link)
        good = parts.scheme == "https" and bool(parts.hostname) and parts.username is None and (parts.port or 443) > 0
    except ValueError:
        good = False
    if not good or has_control(link) or _NOT_IN_LINKS.search(link):
        raise RenderError("unsafe_link", f"{field} must be an absolute https link without a user name")
    return within(field, link, 2048)


def _decoded(text: str) -> str:
    try:
        parts = [part if isinstance(part, str) else part.decode(code or "ascii") for part, code in decode_header(text)]
    except (HeaderParseError, ValueError, LookupError):
        return "\0"
    return "".join(parts)


def check_literals(compiled: Compiled, channel: Channel, marketing: bool) -> list[Problem]:
    """The limits of content that needs no values: what fails then would fail for everybody."""
    if any(template.variables() for template in compiled.values()):
        return []
    try:
        channel.render(compiled, {}, marketing)
    except RenderError as error:
        return [("", error.code, error.detail)]
    return []
