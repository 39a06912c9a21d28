"""The body of a letter: simple HTML becomes paragraphs, headings and items of lists."""

import html as markup
import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from selectolax.lexbor import LexborHTMLParser, LexborNode

from services.orchestrator.delivery.channels.letter.fonts import printable
from services.template import RenderError

MAX_BODY: Final = 30_000
"""Characters of the HTML."""
MAX_ELEMENTS: Final = 2000
MAX_DEPTH: Final = 32
ELEMENTS: Final = "p, div, h2, h3, ul, ol, li, br, b, strong, span"
_BLOCKS: Final = frozenset({"p", "div", "h2", "h3", "li"})
_ALLOWED: Final = frozenset(ELEMENTS.split(", "))
_SPACE: Final = re.compile(r"[ \t\r\n\f]+")
_LINE: Final = "\n"
BULLET: Final = "\u2022"
_LIST_END: Final = ("</ol>", "</ul>")
_MAX_START: Final = 999


class Run(NamedTuple):
    """Text in one weight. A line break is `\\n`."""

    text: str
    bold: bool


class Block(NamedTuple):
    """A paragraph, a heading or an item. `marker`: what stands before an item."""

    runs: tuple[Run, ...]
    marker: str = ""
    heading: bool = False


def read_body(field: str, source: str) -> tuple[Block, ...]:
    """The blocks of a body. Raises RenderError for elements that cannot be printed, and for a body without text."""
    if len(source) > MAX_BODY:
        raise RenderError(
            "too_long", f"{field} has {len(source)} characters, at most {MAX_BODY} are allowed", field=field
        )
    if source.count("<") > 2 * MAX_ELEMENTS:
        raise RenderError("too_long", f"{field} has more than {MAX_ELEMENTS} elements", field=field)
    body = LexborHTMLParser(source).body
    blocks = [] if body is None else list(_join(_read_node(field, body)))
    if not blocks:
        raise RenderError("empty", f"{field} is empty", field=field)
    return tuple(blocks)


def write_body(blocks: tuple[Block, ...]) -> str:
    """The blocks as HTML that reads as the same blocks."""
    written: list[str] = []
    last = ""
    for block in blocks:
        if block.marker and _follows(last, block.marker):
            written[-1] = written[-1].replace(_LIST_END[last == BULLET], "")
            opening = ""
        else:
            opening = "<ul>" if block.marker == BULLET else f'<ol start="{block.marker[:-1]}">' if block.marker else ""
        ending = _LIST_END[block.marker == BULLET] if block.marker else ""
        written.append(f"{opening}{_write_block(block)}{ending}")
        last = block.marker
    return "".join(written)


def _follows(last: str, marker: str) -> bool:
    """Whether an item belongs to the list of the one before it."""
    if BULLET in (last, marker):
        return last == marker
    return bool(last) and int(marker[:-1]) == int(last[:-1]) + 1


def _write_block(block: Block) -> str:
    texts = (
        f"<b>{markup.escape(each.text)}</b>" if each.bold and not block.heading else markup.escape(each.text)
        for each in block.runs
    )
    inner = "".join(texts).replace(_LINE, "<br>")
    tag = "h2" if block.heading else "li" if block.marker else "p"
    return f"<{tag}>{inner}</{tag}>"


class _Beginning(NamedTuple):
    """A block begins. `marker` and `heading`: of the block. Where one ends stands None."""

    marker: str = ""
    heading: bool = False


def _read_node(field: str, node: LexborNode, bold: bool = False, depth: int = 0) -> Iterator[Run | _Beginning | None]:
    if depth > MAX_DEPTH:
        raise RenderError("too_deep", f"{field} is nested deeper than {MAX_DEPTH} levels", field=field)
    number = _first_number(node) - 1
    for child in node.iter(include_text=True):
        tag = child.tag or ""
        if tag == "-text":
            yield Run(_SPACE.sub(" ", printable(field, child.text_content or "")), bold)
        elif tag in ("-comment", "_comment", "!--"):
            continue
        elif tag not in _ALLOWED:
            detail = f"{field} holds the element <{tag[:20]}>, which letters cannot show: use {ELEMENTS}"
            raise RenderError("unsupported_element", detail, field=field, excerpt=f"<{tag}")
        elif tag == "br":
            yield Run(_LINE, bold)
        elif tag in _BLOCKS:
            number += tag == "li"
            marker = "" if tag != "li" else f"{number}." if node.tag == "ol" else BULLET
            heading = tag in ("h2", "h3")
            yield _Beginning(marker, heading)
            yield from _read_node(field, child, bold or heading, depth + 1)
            yield None
        else:
            yield from _read_node(field, child, bold or tag in ("b", "strong"), depth + 1)


def _first_number(node: LexborNode) -> int:
    given = (node.attributes.get("start") or "1") if node.tag == "ol" else "1"
    return int(given) if given.isascii() and given.isdecimal() and len(given) <= 9 and int(given) <= _MAX_START else 1


def _join(pieces: Iterator[Run | _Beginning | None]) -> Iterator[Block]:
    """Blocks with text. The first paragraph of an item gets its marker."""
    kind, runs = _Beginning(), list[Run]()
    for piece in (*pieces, None):
        if isinstance(piece, Run):
            runs.append(piece)
            continue
        if any(each.text.strip() for each in runs):
            yield Block(tuple(runs), kind.marker, kind.heading)
            kind = _Beginning()
        runs = []
        if piece is None:
            kind = _Beginning()
        elif piece != _Beginning():
            kind = piece
