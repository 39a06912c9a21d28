"""Compiles MJML to HTML for mail programs: names checked, depth limited, nothing loaded from anywhere."""

import re
from collections.abc import Iterator
from difflib import get_close_matches
from html import unescape
from typing import Final, NamedTuple

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
MAX_PROBLEMS: Final = 20
"""The most unknown elements that are named at once."""
MAX_STYLE_WORK: Final = 30_000_000
"""Nanoseconds that moving styles into elements may take, as estimated before."""
MAX_STYLE_BYTES: Final = 1024 * 1024
"""How long the styles of all elements may be together if every rule applies to every element."""
MAX_PAGE: Final = 256 * 1024
"""Characters of the HTML of a mail. Gmail cuts mails above 102 kB; four times as much takes 40 ms to look through."""
MAX_CAROUSEL_IMAGES: Final = 50
"""In all carousels of one mail: MJML writes rules for each pair of images."""
MAX_ATTRIBUTES: Final = 200
"""Of one element: HTML parsers compare the name of each with those of all others."""
MJML_TAGS: Final = frozenset(
    {"mjml", "mj-head", "mj-body", "mj-attributes", "mj-all", "mj-class", "mj-breakpoint", "mj-font"}
    | {"mj-html-attributes", "mj-selector", "mj-html-attribute", "mj-preview", "mj-style", "mj-title"}
    | {"mj-accordion", "mj-accordion-element"}
    | {"mj-accordion-title", "mj-accordion-text", "mj-button", "mj-carousel", "mj-carousel-image", "mj-column"}
    | {"mj-divider", "mj-group", "mj-hero", "mj-image", "mj-navbar", "mj-navbar-link", "mj-raw", "mj-section"}
    | {"mj-social", "mj-social-element", "mj-spacer", "mj-table", "mj-text", "mj-wrapper"}
)
_OPENING_TAG: Final = re.compile(r"<[a-zA-Z]")
_TAG_NAME: Final = re.compile(r"<(/?)([a-zA-Z][\w:-]*+)", re.ASCII)
_QUOTE_OR_END: Final = re.compile("[\"'>]")
_DECLARATION_END: Final = re.compile("[{};]")
_LINK: Final = re.compile(
    r"(?<=[\s\"'])(?P<name>href|src|srcset|background|background-url|poster|action)\s*=\s*[\"'](?P<value>[^\"']*)",
    re.IGNORECASE,
)
_RELATIVE: Final = re.compile(r"\s*(?![a-z][a-z0-9+.\-]*[:{])[\w/.?]", re.IGNORECASE)
#: What has no end goes on to the end of the text: looking for each such end would take the square of the length.
_STYLE_TAG: Final = re.compile(
    r"<!--.*?(?:-->|\Z)"
    r"|<style(?P<attributes>(?:\s(?:[^>\"']|\"[^\"]*+\"|'[^']*+')*+)?)>(?P<sheet>.*?)(?P<end></style\s*>|\Z)",
    re.IGNORECASE | re.DOTALL,
)
_ATTRIBUTE: Final = re.compile(r"[\s/]*([^\s/>][^\s/>=]*+)(?:\s*=\s*(?:\"[^\"]*+(?:\"|\Z)|'[^']*+(?:'|\Z)|[^\s>]*+))?")
"""An attribute as HTML reads it: a quote within a name is part of the name."""
_START_TAG: Final = re.compile(r"<[a-zA-Z][^\s/>]*+")
_RELATION_IN_NOT: Final = re.compile(r":not\s*\([^{}]*?[^\s,({}][\s>+~]+[^\s,){}]", re.IGNORECASE)
"""A `:not()` of an element's relation to others: each element is compared with all before it."""
_ANY_STYLE: Final = re.compile(r"<style\b[^>]*+>(.*?)(?:</style|\Z)", re.IGNORECASE | re.DOTALL)
_MEDIA: Final = re.compile(r"(?<=\s)media\s*=\s*(?:\"([^\"]*)\"|'([^']*)'|([^\s\"'>]+))", re.IGNORECASE)
_VOID_TAGS: Final = frozenset(
    {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "wbr"}
)


class _Tag(NamedTuple):
    """A tag of a source, from its first to one past its last character. `name` is empty where `<` begins none."""

    start: int
    end: int
    name: str
    is_closing: bool
    is_empty: bool


def _tags(source: str) -> Iterator[_Tag]:
    """Reads the tags, comments aside, in one pass. What follows a quote or a comment without end belongs to it."""
    position = 0
    while (start := source.find("<", position)) >= 0:
        if source.startswith("<!--", start):
            position = source.find("-->", start) + 3
            if position < 3:
                return
            continue
        named = _TAG_NAME.match(source, start)
        if named is None:
            yield _Tag(start, start + 1, "", False, False)
            position = start + 1
            continue
        position = named.end()
        while (found := _QUOTE_OR_END.search(source, position)) is not None and found[0] != ">":
            position = source.find(found[0], found.end()) + 1
            if position == 0:
                return
        if found is None:
            return
        position = found.end()
        yield _Tag(start, position, named[2], bool(named[1]), source[found.start() - 1] == "/")


def mjml_depth(source: str) -> int:
    """Returns the deepest nesting of elements."""
    level = deepest = 0
    for tag in _tags(source):
        if tag.name not in _VOID_TAGS and not tag.is_empty and tag.name:
            level = max(0, level - 1) if tag.is_closing else level + 1
            deepest = max(deepest, level)
    return deepest


def _html_depth(html: str) -> int:
    deepest, stack = 0, [(LexborHTMLParser(html).root, 1)]
    while stack:
        node, level = stack.pop()
        if node is not None:
            deepest = max(deepest, level)
            stack.extend((child, level + 1) for child in node.iter())
    return deepest


def unknown_tags(source: str) -> list[tuple[int, str]]:
    """Returns (line, problem) for what begins like a tag and is none, and for MJML elements that do not exist, in
    whatever case: the compiler drops them silently, or loads what they name.
    """
    problems = []
    for tag in _tags(source):
        problem = _problem_of(tag)
        if problem is not None:
            problems.append((source.count("\n", 0, tag.start) + 1, problem))
            if len(problems) == MAX_PROBLEMS:
                break
    return problems


def _problem_of(tag: _Tag) -> str | None:
    if not tag.name:
        return "`<` begins no element; write &lt; for the character"
    if tag.is_closing or not tag.name.lower().startswith("mj") or tag.name in MJML_TAGS:
        return None
    near = get_close_matches(tag.name.lower(), MJML_TAGS, 1)
    return f"unknown element <{tag.name}>{f', did you mean <{near[0]}>?' if near else ''}"


def relative_links(source: str) -> Iterator[tuple[int, str]]:
    """Yields (index, detail) for each link that begins as a relative one. A mail has no address that it could be
    relative to; what follows `{{` is not known yet, and links of `mj-navbar` may begin in its `base-url`.
    """
    for tag in _tags(source):
        if tag.is_closing or tag.name.lower() == "mj-navbar-link":
            continue
        for link in _LINK.finditer(source, tag.start + 1 + len(tag.name), tag.end):
            if _RELATIVE.match(link["value"]):
                detail = f"the attribute {link['name'].lower()} of <{tag.name}> holds a relative link"
                yield link.start("name"), detail


def mjml_to_html(source: str) -> str:
    """Compiles rendered MJML to HTML. Raises RenderError `bad_mjml`, and `too_deep` for too many elements."""
    if source.count("<") - source.count("</") > MAX_MJML_ELEMENTS:
        raise RenderError("too_deep", f"more than {MAX_MJML_ELEMENTS} elements")
    _check_length(source)
    for line, problem in unknown_tags(source):  # a condition of the template may have let them in
        raise RenderError("bad_mjml", f"line {line} of the rendered MJML: {problem}")
    if source.lower().count("<mj-carousel-image") > MAX_CAROUSEL_IMAGES:
        raise RenderError("too_deep", f"more than {MAX_CAROUSEL_IMAGES} images in carousels")
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
    _check_length(html)
    elements = sum(1 for _ in _OPENING_TAG.finditer(html))
    if elements > MAX_HTML_ELEMENTS:
        raise RenderError("too_deep", f"more than {MAX_HTML_ELEMENTS} elements")
    if _html_depth(html) > MAX_HTML_DEPTH:
        raise RenderError("too_deep", f"nested deeper than {MAX_HTML_DEPTH} levels")
    if "<style" not in html.lower():
        return html
    _check_style_work(html, elements)
    try:
        page = _INLINER.inline(_STYLE_TAG.sub(_with_media_inside, html))
    except (ValueError, css_inline.InlineError) as error:
        raise RenderError("bad_style", f"the styles cannot be inlined: {type(error).__name__}") from None
    _check_length(page)
    return page


def _check_length(html: str) -> None:
    if len(html) > MAX_PAGE:
        raise RenderError("too_large", f"the HTML of a mail may have at most {MAX_PAGE} characters")


def crowded_elements(source: str) -> Iterator[tuple[int, str]]:
    """Yields (index, detail) for each element with too many attributes."""
    for tag in _START_TAG.finditer(source):
        position, count = tag.end(), 0
        while (found := _ATTRIBUTE.match(source, position)) is not None and count <= MAX_ATTRIBUTES:
            position, count = found.end(), count + 1
        if count > MAX_ATTRIBUTES:
            yield tag.start(), f"{tag[0]}> has more than {MAX_ATTRIBUTES} attributes"
            return


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


def _check_style_work(html: str, elements: int) -> None:
    """Refuses style sheets that would take long, or write very long styles. Raises RenderError `bad_style`.

    As measured, an element costs 60 ns for each rule, 2 ns for each pair of the properties that it may get, and 5 ns
    for each other element with each relation in a `:not()`. Every rule is taken to apply to every element: how many do
    is not known before the work is done.
    """
    longest: dict[str, int] = {}
    rules = relations = 0
    for style in _ANY_STYLE.finditer(html):
        rules += style[1].count("{") + style[1].count(",")
        relations += sum(1 for _ in _RELATION_IN_NOT.finditer(style[1]))
        for declaration in _DECLARATION_END.split(style[1]):
            name, colon, value = declaration.partition(":")
            if colon:
                longest[name.strip().lower()] = max(len(value), longest.get(name.strip().lower(), 0))
    work = elements * (60 * rules + 2 * len(longest) ** 2 + 5 * relations * elements)
    if work > MAX_STYLE_WORK or elements * sum(longest.values()) > MAX_STYLE_BYTES:
        raise RenderError(
            "bad_style",
            f"the styles have {rules} rules with {len(longest)} properties for {elements} elements, which is too much "
            "to move into the elements; remove rules that this mail does not need",
        )


_INLINER: Final = css_inline.CSSInliner(
    load_remote_stylesheets=False, keep_at_rules=True, remove_inlined_selectors=True
)


def _refuse_include(path: str) -> str:
    raise ValueError("mj-include is not supported")
