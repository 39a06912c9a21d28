"""Checks and clean-ups of content that several channels share."""

import re
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from email.errors import HeaderParseError
from email.header import decode_header
from typing import Final
from urllib.parse import urlsplit

from schemas.finding import Finding
from services.orchestrator.delivery.channels.definition import CompiledTemplates
from services.template import RenderError, Template, TemplateSyntaxError, compile_template, line_and_column

LINK_NAMES: Final = ("unsubscribe", "preferences", "confirm_consent", "verify_address", "verification_code")
"""`confirm_consent` only in messages on the event by which a consent is asked for; `verify_address` and
`verification_code` on the one by which the verification of an address is.
"""
SAMPLE_CODE: Final = "123456"
"""What a preview shows in the place of `verification_code`."""
TEMPLATE_NAMES: Final[Mapping[str, tuple[str, ...]]] = {
    "customer": ("id", "traits", "locale"),
    "event": ("type", "time", "data"),
    "campaign": ("key", "name"),
    "links": LINK_NAMES,
    "sender": ("legal_name", "postal_address"),
    "now": (),
}
"""What templates can read, and the fields of each; `event.data` and `customer.traits` hold any."""
_POSITIONS: Final = frozenset({"size", "first", "last"})
_CONTROL_CHARACTERS: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_ASCII_CONTROL_BYTES: Final = bytes([*range(0x20), 0x7F])
_NOT_IN_LINKS: Final = re.compile(r'[\s<>"\\]')


def check_templates(content: Mapping[str, str], html: frozenset[str] = frozenset()) -> list[Finding]:
    """Returns syntax errors and unknown names in each field."""
    problems: list[Finding] = []
    for field, source in content.items():
        try:
            template = compile_template(source, field in html, field)
        except TemplateSyntaxError as error:
            problems.append(Finding(f"/{field}", "template_syntax", str(error), error.line, error.column))
            continue
        problems += (each.below(f"/{field}") for each in _unknown_names(template))
    return problems


def _unknown_names(template: Template) -> Iterator[Finding]:
    for index, path in template.reads():
        root, known = str(path[0]), TEMPLATE_NAMES.get(str(path[0]))
        line, column = line_and_column(template.source, index)
        at = f"line {line}, column {column}: "
        if known is None:
            detail = f"{at}unknown name `{root}`; templates see {', '.join(sorted(TEMPLATE_NAMES))}"
            yield Finding("", "unknown_name", detail, line, column, _suggest_name(root, TEMPLATE_NAMES))
        elif len(path) > 1 and known and isinstance(path[1], str) and path[1] not in {*known, *_POSITIONS}:
            detail = f"{at}`{root}` has no `{path[1]}`; it has {', '.join(known)}"
            yield Finding("", "unknown_name", detail, line, column, _suggest_name(path[1], known, f"{root}."))


def _suggest_name(word: str, known: Iterable[str], prefix: str = "") -> str | None:
    near = get_close_matches(word, list(known), 1)
    return f"did you mean `{prefix}{near[0]}`?" if near else None


def compile_fields(content: Mapping[str, str], html: frozenset[str] = frozenset()) -> dict[str, Template]:
    """Compiles one template per field."""
    return {field: compile_template(source, field in html, field) for field, source in content.items()}


def variable_prefixes(compiled: CompiledTemplates) -> frozenset[str]:
    """Returns the first names of all paths that the templates read, and the first two (`event.*` if the second is
    dynamic).
    """
    paths = [path for template in compiled.values() for path in template.variables()]
    return frozenset(map(_root, paths)) | frozenset(map(_two_level_prefix, paths))


def _root(path: str) -> str:
    return path.replace("[", ".").split(".")[0]


def _two_level_prefix(path: str) -> str:
    segments = path.split(".")
    second = segments[1] if len(segments) > 1 else ""
    return f"{_root(path)}.{second.partition('[')[0] if second and '[' not in segments[0] else '*'}"


def has_control_character(text: str, allowed: str = "") -> bool:
    """Whether the text has C0 or C1 controls, or the separators U+2028 and U+2029, beyond those allowed."""
    if text.isascii():
        forbidden = _ASCII_CONTROL_BYTES.translate(None, allowed.encode())
        return len(text.encode().translate(None, forbidden)) < len(text)
    return any(each not in allowed for each in _CONTROL_CHARACTERS.findall(text))


def clean_line(field: str, text: str, limit: int) -> str:
    """Cleans a rendered single-line text; safe in a header: no controls, also none inside encoded words."""
    line = text.strip()
    if not line:
        raise RenderError("empty", f"{field} is empty", field=field)
    if has_control_character(line):
        raise RenderError(
            "control_character",
            f"{field} holds a line break or another control character",
            field=field,
            offset=_control_character_offset(text, line, ""),
        )
    if "=?" in line and has_control_character(_decode_encoded_words(line)):
        detail = f"{field} holds a control character in an encoded word"
        raise RenderError("control_character", detail, field=field, offset=text.find("=?"))
    return check_length(field, line, limit, text)


def clean_header(field: str, text: str, limit: int) -> str:
    """Cleans a rendered text that becomes the value of a mail header.

    Refuses `=?` as well: it begins an encoded word (RFC 2047), and a parser that takes one without its end for whole
    makes a header of what follows (CVE-2024-6923).
    """
    line = clean_line(field, text, limit)
    if "=?" in line:
        detail = f"{field} holds `=?`, which begins an encoded word in a mail header"
        raise RenderError("control_character", detail, field=field, offset=text.find("=?"))
    return line


def clean_text(field: str, text: str, limit: int) -> str:
    """Cleans a rendered text of several lines."""
    plain = text.strip()
    if not plain:
        raise RenderError("empty", f"{field} is empty", field=field)
    if has_control_character(plain, allowed="\n\r\t"):
        offset = _control_character_offset(text, plain, "\n\r\t")
        raise RenderError("control_character", f"{field} holds a control character", field=field, offset=offset)
    return check_length(field, plain, limit, text)


def _control_character_offset(text: str, stripped: str, allowed: str) -> int:
    found = next(each for each in _CONTROL_CHARACTERS.finditer(stripped) if each.group() not in allowed)
    return text.find(stripped) + found.start()


def check_length(field: str, text: str, limit: int, source: str | None = None) -> str:
    """Returns the text if it has at most `limit` characters. Raises RenderError. `source`: the text before it was
    cleaned.
    """
    if len(text) > limit:
        offset = (source or text).find(text) + limit
        detail = f"{field} has {len(text)} characters, at most {limit} are allowed"
        raise RenderError("too_long", detail, field=field, offset=offset)
    return text


def clean_https_link(field: str, text: str) -> str:
    """Returns an absolute https link. Raises RenderError."""
    link = text.strip()
    try:
        parts = urlsplit(link)
        valid = parts.scheme == "https" and bool(parts.hostname) and parts.username is None and (parts.port or 443) > 0
    except ValueError:
        valid = False
    if not valid or has_control_character(link) or _NOT_IN_LINKS.search(link):
        detail = f"{field} must be an absolute https link without a user name"
        raise RenderError("unsafe_link", detail, field=field, offset=len(text) - len(text.lstrip()))
    return check_length(field, link, 2048, text)


def _decode_encoded_words(text: str) -> str:
    try:
        parts = [part if isinstance(part, str) else part.decode(code or "ascii") for part, code in decode_header(text)]
    except (HeaderParseError, ValueError, LookupError):
        return "\0"
    return "".join(parts)
