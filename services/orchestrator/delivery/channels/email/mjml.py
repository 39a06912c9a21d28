"""Compiles MJML to HTML for mail programs: names checked, depth limited, nothing loaded from anywhere."""

import re
from collections.abc import Iterator
from difflib import get_close_matches
from html import unescape
from typing import Final

import css_inline
from mjml import mjml2html
from selectolax.lexbor import LexborHTMLParser

from services.template import RenderError

#: The compiler ends the process on 2,000 nested elements, so their number is bounded before anything reads them.
MAX_MJML_ELEMENTS: Final = 1000
MAX_MJML_DEPTH: Final = 64
#: Parsing HTML costs the square of its depth; the number of elements bounds both.
MAX_HTML_ELEMENTS: Final = 5000
MAX_HTML_DEPTH: Final = 256
MJML_TAGS: Final = frozenset(
    {"mjml", "mj-head", "mj-body", "mj-attributes", "mj-all", "mj-class", "mj-breakpoint", "mj-font"}
    | {"mj-html-attributes", "mj-selector", "mj-html-attribute", "mj-preview", "mj-style", "mj-title"}
    | {"mj-accordion", "mj-accordion-element"}
    | {"mj-accordion-title", "mj-accordion-text", "mj-button", "mj-carousel", "mj-carousel-image", "mj-column"}
    | {"mj-divider", "mj-group", "mj-hero", "mj-image", "mj-navbar", "mj-navbar-link", "mj-raw", "mj-section"}
    | {"mj-social", "mj-social-element", "mj-spacer", "mj-table", "mj-text", "mj-wrapper"}
)
_OPENING_TAG: Final = re.compile(r"<[a-zA-Z]")
_TAG: Final = re.compile(r"<(/?)([a-zA-Z][\w:-]*+)((?:[^<>\"']|\"[^\"]*+\"|'[^']*+')*+)>")
_COMMENT: Final = re.compile(r"<!--.*?-->", re.DOTALL)
_LINK: Final = re.compile(
    r"(?<=[\s\"'])(?P<name>href|src|srcset|background|background-url|poster|action)\s*=\s*[\"'](?P<value>[^\"']*)",
    re.IGNORECASE,
)
_RELATIVE: Final = re.compile(r"\s*(?![a-z][a-z0-9+.\-]*[:{])[\w/.?]", re.IGNORECASE)
_STYLE_TAG: Final = re.compile(
    r"<!--.*?-->|<style(?P<attributes>(?:\s(?:[^>\"']|\"[^\"]*+\"|'[^']*+')*+)?)>(?P<sheet>.*?)(?P<end></style\s*>)",
    re.IGNORECASE | re.DOTALL,
)
_MEDIA: Final = re.compile(r"(?<=\s)media\s*=\s*(?:\"([^\"]*)\"|'([^']*)'|([^\s\"'>]+))", re.IGNORECASE)
_VOID_TAGS: Final = frozenset(
    {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "wbr"}
)


def mjml_depth(source: str) -> int:
    """Returns the deepest nesting of elements."""
    level = deepest = 0
    for found in _TAG.finditer(_without_comments(source)):
        closing, name, rest = found.groups()
        if name not in _VOID_TAGS and not rest.endswith("/"):
            level = max(0, level - 1) if closing else level + 1
            deepest = max(deepest, level)
    return deepest


def _without_comments(source: str) -> str:
    pieces, position = [], 0
    while (start := source.find("<!--", position)) >= 0 and (end := source.find("-->", start)) >= 0:
        pieces += [source[position:start], "\n" * source.count("\n", start, end)]
        position = end + 3
    return "".join((*pieces, source[position:]))


def _html_depth(html: str) -> int:
    deepest, stack = 0, [(LexborHTMLParser(html).root, 1)]
    while stack:
        node, level = stack.pop()
        if node is not None:
            deepest = max(deepest, level)
            stack.extend((child, level + 1) for child in node.iter())
    return deepest


def unknown_tags(source: str) -> list[tuple[int, str]]:
    """Returns (line, problem) for each MJML element that does not exist; the compiler would drop it silently."""
    problems = []
    plain = _without_comments(source)
    for found in _TAG.finditer(plain):
        name = found.group(2)
        if not found.group(1) and name.startswith("mj") and name not in MJML_TAGS:
            close_matches = get_close_matches(name, MJML_TAGS, 1)
            hint = f", did you mean <{close_matches[0]}>?" if close_matches else ""
            problems.append((plain.count("\n", 0, found.start()) + 1, f"unknown element <{name}>{hint}"))
    return problems


def relative_links(source: str) -> Iterator[tuple[int, str]]:
    """Yields (index, detail) for each link that begins as a relative one. A mail has no address that it could be
    relative to; what follows `{{` is not known yet, and links of `mj-navbar` may begin in its `base-url`.
    """
    blanked = _COMMENT.sub(lambda found: " " * len(found[0]), source)
    for tag in _TAG.finditer(blanked):
        if tag[1] or tag[2].lower() == "mj-navbar-link":
            continue
        for link in _LINK.finditer(tag[3]):
            if _RELATIVE.match(link["value"]):
                detail = f"the attribute {link['name'].lower()} of <{tag[2]}> holds a relative link"
                yield tag.start(3) + link.start("name"), detail


def mjml_to_html(source: str) -> str:
    """Compiles rendered MJML to HTML. Raises RenderError `bad_mjml`."""
    _check_element_count(source, MAX_MJML_ELEMENTS)
    if mjml_depth(source) > MAX_MJML_DEPTH:
        raise RenderError("bad_mjml", f"nested deeper than {MAX_MJML_DEPTH} levels")
    try:
        return mjml2html(source, fonts={}, social_icon_origin="", include_loader=_refuse_include)
    except (ValueError, TypeError, OSError, RuntimeError) as error:
        raise RenderError("bad_mjml", f"not MJML: {type(error).__name__}") from None


def inline_styles(html: str) -> str:
    """Moves styles into the elements. What cannot stand in an element stays in a `<style>`: `:hover`, media queries,
    and rules that match nothing here, which mail programs apply to their own markup (`[data-ogsc]`). No style sheet
    is loaded from a file or the network.
    """
    _check_element_count(html, MAX_HTML_ELEMENTS)
    if _html_depth(html) > MAX_HTML_DEPTH:
        raise RenderError("too_deep", f"nested deeper than {MAX_HTML_DEPTH} levels")
    if "<style" not in html.lower():
        return html
    try:
        return _INLINER.inline(_STYLE_TAG.sub(_with_media_inside, html))
    except (ValueError, css_inline.InlineError) as error:
        raise RenderError("bad_style", f"the styles cannot be inlined: {type(error).__name__}") from None


def _with_media_inside(style: re.Match[str]) -> str:
    """A style for some screens only, with its condition as a media query. The inliner does not know the attribute
    `media`, and would give the elements on every screen what was meant for some.
    """
    found = _MEDIA.search(style["attributes"] or "")
    media = (found[1] or found[2] or found[3] or "").strip() if found else ""
    if media.lower() in ("", "all", "screen"):
        return style[0]
    attributes = _MEDIA.sub("", style["attributes"])
    return f"<style{attributes}>@media {unescape(media)} {{{style['sheet']}}}{style['end']}"


def _check_element_count(markup: str, limit: int) -> None:
    if sum(1 for _ in _OPENING_TAG.finditer(markup)) > limit:
        raise RenderError("too_deep", f"more than {limit} elements")


_INLINER: Final = css_inline.CSSInliner(
    load_remote_stylesheets=False, keep_at_rules=True, remove_inlined_selectors=True
)


def _refuse_include(path: str) -> str:
    raise ValueError("mj-include is not supported")
