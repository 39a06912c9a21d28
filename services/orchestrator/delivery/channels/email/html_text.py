"""The plain text of an HTML mail: paragraphs, lists, headings and links, for people who read mail as text."""

import re
from typing import Final

from selectolax.lexbor import LexborHTMLParser, LexborNode

_SKIPPED_TAGS: Final = frozenset({"head", "style", "script", "title", "template", "-comment", "_comment", "!--"})
_BLOCK_TAGS: Final = frozenset(
    {"address", "article", "blockquote", "div", "footer", "h1", "h2", "h3", "h4", "h5", "h6", "header", "hr", "main"}
    | {"ol", "p", "pre", "section", "table", "td", "th", "tr", "ul"}
)
_HIDDEN_STYLE: Final = re.compile(r"display\s*:\s*none", re.IGNORECASE)


def html_to_text(html: str) -> str:
    """Returns the plain text. A link follows its words in parentheses; a picture becomes its alternative text."""
    body = LexborHTMLParser(html).body
    if body is None:
        return ""
    pieces: list[str] = []
    _collect_text(body, pieces)
    lines = (" ".join(line.split()) for line in "".join(pieces).split("\n"))
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


def _collect_text(root: LexborNode, pieces: list[str]) -> None:
    """Collects the text depth first without recursion: a stack of nodes to enter and texts to emit on leaving them."""
    stack: list[LexborNode | str] = [root]
    while stack:
        node = stack.pop()
        if isinstance(node, str):
            pieces.append(node)
            continue
        tag = node.tag or ""
        if tag == "-text":
            pieces.append(re.sub(r"\s+", " ", node.text_content or ""))
        elif tag not in _SKIPPED_TAGS and not _HIDDEN_STYLE.search(node.attributes.get("style") or ""):
            before, after = _text_around(node, tag)
            pieces.append(before)
            stack.append(after)
            stack.extend(reversed(list(node.iter(include_text=True))))


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
    return ("\n", "\n") if tag in _BLOCK_TAGS else ("", "")
