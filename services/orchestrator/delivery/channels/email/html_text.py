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
# Marks that stand in the text while it is collected. They begin with NUL, which HTML cannot hold.
_KEPT_SPACE: Final = "\0s"
"""A space of preformatted text, while other runs of spaces become one."""
_BULLET: Final = "\0b"
"""Follows a bullet: the item's first words come on the same line, also those of a paragraph in it."""
_END: Final = "\0e"
"""Follows a link, a picture and an item. It becomes a space where a word follows without one."""
_BLOCK_STYLE: Final = re.compile(r"display\s*:\s*(block|table|flex|grid|list-item)\b", re.IGNORECASE)
_HIDDEN_STYLE: Final = re.compile(r"display\s*:\s*none", re.IGNORECASE)
_INVISIBLE: Final = re.compile("[\u00ad\u034f\u200b\u2060\ufeff]")
"""Where browsers may break a line, or must not. Joiners are kept, which Persian words and emoji need."""
_SAME_AS_TEXT: Final = ("", "mailto:", "tel:", "sms:")


def html_to_text(html: str) -> str:
    """Returns the plain text. A link follows its words in parentheses; a picture becomes its alternative text."""
    body = LexborHTMLParser(html).body
    if body is None:
        return ""
    pieces: list[str] = []
    _collect_text(body, pieces)
    collected = re.sub(rf"{_BULLET}\s*(?=[^\s\0])", " ", _INVISIBLE.sub("", "".join(pieces)))
    collected = re.sub(rf"(?:{_END})+(?=[^\W_])", " ", collected).replace(_END, "").replace(_BULLET, "")
    lines = (" ".join(line.split()).replace(_KEPT_SPACE, " ").rstrip() for line in collected.split("\n"))
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
        elif tag not in _SKIPPED_TAGS and not _is_hidden(node):
            before, after = _text_around(node, tag)
            pieces.append(before)
            stack.append((after, False))
            preformatted = preformatted or tag in _PREFORMATTED_TAGS
            stack.extend((child, preformatted) for child in reversed(list(node.iter(include_text=True))))


def _is_hidden(node: LexborNode) -> bool:
    return "hidden" in node.attributes or _HIDDEN_STYLE.search(node.attributes.get("style") or "") is not None


def _keep_spaces(text: str) -> str:
    return text.replace("\r\n", "\n").expandtabs().replace(" ", _KEPT_SPACE)


def _text_around(node: LexborNode, tag: str) -> tuple[str, str]:
    match tag:
        case "br":
            return "\n", ""
        case "li":
            return f"\n{_bullet(node)}{_BULLET} ", _END
        case "img":
            return (node.attributes.get("alt") or "") + _END, ""
        case "area":
            return (
                f"\n{node.attributes.get('alt') or ''}",
                f"{_address_behind(node, node.attributes.get('alt') or '')}\n",
            )
        case "a":
            image_texts = [image.attributes.get("alt") or "" for image in node.css("img")]
            return "", _address_behind(node, " ".join([*node.text(deep=True).split(), *image_texts]).strip())
        case "p" | "h1" | "h2" | "h3" | "h4" | "h5" | "h6":
            return "\n\n", "\n\n"
    is_inline = tag in _INLINE_TAGS and not _BLOCK_STYLE.search(node.attributes.get("style") or "")
    return ("", "") if is_inline else ("\n", "\n")


def _address_behind(node: LexborNode, link_text: str) -> str:
    """What follows the words of a link: its address in parentheses, unless the words are the address."""
    link = (node.attributes.get("href") or "").strip()
    if not link or link.startswith("#") or link in [scheme + link_text for scheme in _SAME_AS_TEXT]:
        return ""
    return f" ({link}){_END}" if link_text else f"{link}{_END}"


def _bullet(item: LexborNode) -> str:
    """A dash, or in a numbered list the number."""
    numbered = item.parent
    if numbered is None or numbered.tag != "ol":
        return "-"
    number = _whole_number(numbered, "start", 1) - 1
    for each in numbered.iter():
        if each.tag == "li":
            number = _whole_number(each, "value", number + 1)
        if each == item:
            break
    return f"{number}."


def _whole_number(node: LexborNode, attribute: str, default: int) -> int:
    given = (node.attributes.get(attribute) or "").strip()
    return int(given) if re.fullmatch(r"-?[0-9]{1,6}", given) else default
