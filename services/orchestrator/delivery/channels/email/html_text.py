"""The plain text of an HTML mail: paragraphs, lists, headings and links, for people who read mail as text."""

import re
from typing import Final

from selectolax.lexbor import LexborHTMLParser, LexborNode

_SKIPPED_TAGS: Final = frozenset({"head", "style", "script", "title", "template", "-comment", "_comment", "!--"})
#: Elements that stand inside a line. Everything else begins a line of its own, also what HTML will have one day.
_INLINE_TAGS: Final = frozenset(
    {"a", "abbr", "acronym", "area", "audio", "b", "bdi", "bdo", "big", "blink", "button", "canvas", "cite", "code"}
    | {"data", "del", "dfn", "em", "embed", "font", "i", "img", "input", "ins", "kbd", "label", "map", "mark", "math"}
    | {"meter", "nobr", "object", "output", "param", "picture", "progress", "q", "rb", "rp", "rt", "rtc", "ruby", "s"}
    | {"samp", "select", "small", "source", "span", "strike", "strong", "sub", "sup", "svg", "time", "track", "tt", "u"}
    | {"var", "video", "wbr", "o:p", "v:fill", "v:rect", "v:roundrect", "v:shape", "v:textbox", "w:anchorlock"}
)
_PREFORMATTED_TAGS: Final = frozenset({"listing", "plaintext", "pre", "textarea", "xmp"})
_KEPT_SPACE: Final = "\0"
"""Stands for a space of preformatted text while other runs of spaces become one; HTML cannot hold it."""
_BLOCK_STYLE: Final = re.compile(r"display\s*:\s*(block|table|flex|grid|list-item)\b", re.IGNORECASE)
_HIDDEN_STYLE: Final = re.compile(r"display\s*:\s*none", re.IGNORECASE)


def html_to_text(html: str) -> str:
    """Returns the plain text. A link follows its words in parentheses; a picture becomes its alternative text."""
    body = LexborHTMLParser(html).body
    if body is None:
        return ""
    pieces: list[str] = []
    _collect_text(body, pieces)
    lines = (" ".join(line.split()).replace(_KEPT_SPACE, " ").rstrip() for line in "".join(pieces).split("\n"))
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


def _collect_text(root: LexborNode, pieces: list[str]) -> None:
    """Collects the text depth first without recursion: a stack of nodes to enter and texts to emit on leaving them."""
    stack: list[tuple[LexborNode | str, bool]] = [(root, False)]
    while stack:
        node, preformatted = stack.pop()
        if isinstance(node, str):
            pieces.append(node)
            continue
        tag = node.tag or ""
        if tag == "-text":
            text = node.text_content or ""
            pieces.append(_keep_spaces(text) if preformatted else re.sub(r"\s+", " ", text))
        elif tag not in _SKIPPED_TAGS and not _HIDDEN_STYLE.search(node.attributes.get("style") or ""):
            before, after = _text_around(node, tag)
            pieces.append(before)
            stack.append((after, False))
            preformatted = preformatted or tag in _PREFORMATTED_TAGS
            stack.extend((child, preformatted) for child in reversed(list(node.iter(include_text=True))))


def _keep_spaces(text: str) -> str:
    return text.replace("\r\n", "\n").expandtabs().replace(" ", _KEPT_SPACE)


def _text_around(node: LexborNode, tag: str) -> tuple[str, str]:
    match tag:
        case "br":
            return "\n", ""
        case "li":
            return "\n- ", ""
        case "img":
            return node.attributes.get("alt") or "", ""
        case "a":
            link = (node.attributes.get("href") or "").strip()
            image_texts = [image.attributes.get("alt") or "" for image in node.css("img")]
            link_text = " ".join([*node.text(deep=True).split(), *image_texts]).strip()
            if not link or link.startswith("#") or link_text == link:
                return "", ""
            return ("", f" ({link})") if link_text else (link, "")
        case "p" | "h1" | "h2" | "h3" | "h4" | "h5" | "h6":
            return "\n\n", "\n\n"
    is_inline = tag in _INLINE_TAGS and not _BLOCK_STYLE.search(node.attributes.get("style") or "")
    return ("", "") if is_inline else ("\n", "\n")
