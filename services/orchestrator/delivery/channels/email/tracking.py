"""Replaces the https links of a mail's HTML by links of our own, and adds the picture that shows that it was opened.

Only the values of `href` change: the page is edited where they stand, and then both pages are parsed as mail programs
parse them. If they differ in anything else, the mail keeps its own links: what a customer reads comes before what is
counted. The text part always keeps them.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from html import escape, unescape
from typing import Final, NamedTuple
from urllib.parse import quote, urlsplit

from selectolax.lexbor import LexborHTMLParser

from schemas.vocabulary import Class
from services.orchestrator.delivery.channels.email.channel import MAX_MARKETING_HTML
from services.orchestrator.delivery.channels.email.mjml import MAX_PAGE
from services.orchestrator.delivery.links.link_tracker import MessageLinks

OPT_OUT_ATTRIBUTE: Final = "data-track"
"""`<a data-track="off" href="...">` keeps its own link."""
MAX_LINKS: Final = 300
"""Links of one mail that are replaced."""
_LINK_TAGS: Final = ("a", "area")
_RAW_TAGS: Final = frozenset({"style", "script", "title", "textarea", "xmp", "noembed", "noframes", "iframe"})
_SPACE: Final = r"[\t\n\f\r ]"
_NO_TAG: Final = re.compile(r"<!--(?:-?>|.*?(?:--!?>|\Z))|<[!?/][^>]*+>?|<", re.DOTALL)
_VALUE: Final = rf"{_SPACE}*+={_SPACE}*+(\"[^\"]*+\"|'[^']*+'|(?![\"'])[^\t\n\f\r >]*+)"
_ATTRIBUTE: Final = rf"(?:{_SPACE}|/)*+([^\t\n\f\r />][^\t\n\f\r />=]*+)(?:{_VALUE}|(?!{_SPACE}*+=))"
"""An attribute as HTML reads it: quotes mean something behind `=` alone."""
_NAME_AND_VALUE: Final = re.compile(_ATTRIBUTE)
_TAG: Final = re.compile(rf"</?(?P<name>[a-zA-Z][^\t\n\f\r />]*+)(?P<attributes>(?:{_ATTRIBUTE})*+)(?:{_SPACE}|/)*+>")
_TAG_START: Final = re.compile(r"</?[a-zA-Z]")
_WHOLE_REFERENCES: Final = re.compile(r"[^&]*+(?:&(?:[a-zA-Z0-9]++|#[0-9]++|#[xX][0-9a-fA-F]++);[^&]*+)*+")
_NOT_IN_A_LINK: Final = re.compile(r"[\x00-\x20\x7f-\xa0\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")
_PRINTABLE: Final = "".join(map(chr, range(0x21, 0x7F)))


class _Link(NamedTuple):
    """A link of a page: where the value of its `href` stands, quotes included, and what it is."""

    start: int
    end: int
    href: str


def track_links(content: Mapping[str, str], cls: str, links: MessageLinks) -> dict[str, str]:
    """See LinkTracker. A mail that would become too large keeps its own links."""
    page = content["html"]
    tracked = _replace_links(page, content.get("unsubscribe"), links)
    limit = MAX_MARKETING_HTML if cls == Class.MARKETING else MAX_PAGE
    return dict(content) if len(tracked.encode()) > limit else {**content, "html": tracked}


def _replace_links(page: str, unsubscribe: str | None, links: MessageLinks) -> str:
    found, body_end = _read_page(page)
    originals: dict[str, str] = {}
    edits: list[tuple[int, int, str]] = []
    for link in found[:MAX_LINKS]:
        target = _to_target(link.href)
        if target is None or target == unsubscribe or (ours := links.replace(target)) is None:
            continue
        originals[ours] = link.href
        edits.append((link.start, link.end, f'"{escape(ours)}"'))
    picture = links.picture
    shown = f'<img src="{escape(picture)}" width="1" height="1" alt="" style="display:block;border:0">'
    tracked = _edit(page, sorted([*edits, (body_end, body_end, shown)]))
    return tracked if _differ_in_links_alone(page, tracked, originals, picture) else page


def _edit(page: str, edits: Sequence[tuple[int, int, str]]) -> str:
    """The page with other texts in these places, which are in order and apart from each other."""
    pieces, position = [], 0
    for start, end, text in edits:
        pieces += [page[position:start], text]
        position = end
    return "".join([*pieces, page[position:]])


def _differ_in_links_alone(page: str, tracked: str, originals: Mapping[str, str], picture: str) -> bool:
    """Whether the second page is the first one, but for these links, each with what it was, and the picture."""
    tree = LexborHTMLParser(tracked)
    for node in tree.css("a[href],area[href]"):
        original = originals.get(node.attributes.get("href") or "")
        if original is not None:
            node.attrs["href"] = original
    for image in tree.css("img"):
        if image.attributes.get("src") == picture:
            image.decompose()
    return tree.html == LexborHTMLParser(page).html


def _read_page(page: str) -> tuple[list[_Link], int]:
    """The links of a page, and where its body ends, read in one pass as HTML reads tags."""
    found: list[_Link] = []
    body_end, position = len(page), 0
    while (start := page.find("<", position)) >= 0:
        tag = _TAG.match(page, start)
        if tag is None:
            if _TAG_START.match(page, start):
                break  # a tag without end goes on to the end of the page
            position = _NO_TAG.match(page, start).end()  # type: ignore[union-attr]  # it matches `<` at least
            continue
        name, position = tag["name"].lower(), tag.end()
        if page[start + 1] == "/":
            if name in ("body", "html"):
                body_end = min(body_end, start)
        elif name in _LINK_TAGS:
            found += _link_of(page, *tag.span("attributes"))
        elif name in _RAW_TAGS:
            position = _raw_end(page, name, position)
    return found, body_end


def _raw_end(page: str, name: str, position: int) -> int:
    found = re.compile(rf"</{name}(?=[\t\n\f\r />])", re.IGNORECASE).search(page, position)
    return len(page) if found is None else found.start()


def _link_of(page: str, start: int, end: int) -> Iterator[_Link]:
    """The link of a tag with these attributes, unless it says that it is to stay. The first of a name counts."""
    attributes: dict[str, re.Match[str]] = {}
    for each in _NAME_AND_VALUE.finditer(page, start, end):
        attributes.setdefault(each[1].lower(), each)
    link, wish = attributes.get("href"), attributes.get(OPT_OUT_ATTRIBUTE)
    if link is None or not link[2] or (wish is not None and (wish[2] or "").strip("\"' ").lower() == "off"):
        return
    href = _decode_value(link[2])
    if href is not None:
        yield _Link(*link.span(2), href)


def _decode_value(value: str) -> str | None:
    """What the value of an attribute means. References without `;` mean something else in attributes, so the parser
    says what.
    """
    is_quoted = value[0] in ('"', "'")
    if _WHOLE_REFERENCES.fullmatch(value):
        return unescape(value[1:-1] if is_quoted else value)
    quoted = value if is_quoted else f'"{value}"'
    if quoted[0] in quoted[1:-1]:
        return None
    node = LexborHTMLParser(f"<a href={quoted}></a>").css_first("a")
    return None if node is None else node.attributes.get("href")


def _to_target(href: str) -> str | None:
    """Where a link leads, as it may stand in a header `Location`; None where it is not a complete one of https.

    Other alphabets become what browsers send: UTF-8, percent-encoded. A host in another alphabet stays in its link.
    """
    link = href.strip(" ")
    if link[:8].lower() != "https://" or _NOT_IN_A_LINK.search(link):
        return None
    try:
        host = urlsplit(link).hostname
    except ValueError:
        return None
    return quote(link, safe=_PRINTABLE) if host and host.isascii() else None
