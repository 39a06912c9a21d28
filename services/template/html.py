"""HTML in templates: where values may occur (checked in the source), and which links and tags may result (checked after
rendering).
"""

import re
from collections.abc import Iterator
from typing import Final

from selectolax.lexbor import LexborHTMLParser

from services.template.template_errors import RenderError, TemplateSyntaxError

ALLOWED_SCHEMES: Final = frozenset({"https", "http", "mailto", "tel", "sms", "cid"})
_REFUSED_TAGS: Final = "script,iframe,object,embed,applet,base,frame,frameset,portal,form"
_ALLOWED_EQUIVALENTS: Final = frozenset({"content-type", "content-language", "x-ua-compatible"})
"""Headers that a `<meta http-equiv>` may stand for. Others reload the page, set cookies or loosen its policy."""
_LINK_ATTRIBUTES: Final = frozenset(
    {"href", "src", "action", "formaction", "background", "poster", "cite", "data", "longdesc", "ping", "xlink:href"}
)
_IGNORED: Final = re.compile(r"[\x00-\x20\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]+")
_SCHEME: Final = re.compile(r"([a-z][a-z0-9+.\-]*):", re.IGNORECASE)
_DATA_IMAGE: Final = re.compile(r"data:image/(png|gif|jpeg|webp);base64,[a-z0-9+/=]*", re.IGNORECASE)
_BAD_STYLE: Final = re.compile(r"url\s*\(\s*['\"]?\s*(javascript|vbscript|data:text)|expression\s*\(", re.IGNORECASE)
_STYLE_ELEMENT: Final = re.compile(r"<(mj-style|style)\b[^<>]*>.*?(?:</\1|\Z)", re.IGNORECASE | re.DOTALL)
_TAG_NAME: Final = re.compile(r"</?([a-z][a-z0-9-]*)", re.IGNORECASE)
_LAST_NAME: Final = re.compile(r"[\"'/<>=]")
_MAX_ATTRIBUTE_NAME: Final = 100
_MJML_TEXTS: Final = frozenset({"href", "src", "srcset", "sizes", "alt", "title", "name", "rel", "target", "css-class"})
"""The attributes of MJML whose values are no part of a style."""
_MARKUP_TOKEN: Final = re.compile(r"\{\{.{0,2000}?\}\}|\{%.{0,2000}?%\}|<!--|-->|</?(?=[a-zA-Z{])|[>\"'=]", re.DOTALL)


def link_scheme_allowed(link: str) -> bool:
    """Whether a link is relative or has an allowed scheme, interpreted as browsers do."""
    plain = _IGNORED.sub("", link)
    found = _SCHEME.match(plain)
    return found is None or found.group(1).lower() in ALLOWED_SCHEMES or _DATA_IMAGE.fullmatch(plain) is not None


def check_output_positions(source: str) -> None:
    """Refuses `{{ }}` where a value could form a tag, an attribute, a script or a style. Raises TemplateSyntaxError."""
    styles = [found.span() for found in _STYLE_ELEMENT.finditer(source)] if "style" in source.lower() else []
    for at, token, context_before, attribute in _scan_markup(source):
        if not token.startswith("{{"):
            continue
        if context_before not in ("", "comment", '"', "'"):
            raise _syntax_error(source, at, "inside a tag put {{ }} into a quoted attribute value")
        if attribute or any(start < at < end for start, end in styles):
            detail = "no {{ }} in a style: a value could add rules of its own; write the styles, and choose by {% if %}"
            raise _syntax_error(source, at, detail)


def _syntax_error(source: str, at: int, detail: str) -> TemplateSyntaxError:
    return TemplateSyntaxError(source.count("\n", 0, at) + 1, at - source.rfind("\n", 0, at), detail)


def _scan_markup(source: str) -> Iterator[tuple[int, str, str, str]]:
    """Yields (offset, piece, context, attribute): context is "", "tag", "comment", or the quote of an attribute value;
    attribute is `style` in a value that becomes a style, else empty.
    """
    context = tag = attribute = ""
    for found in _MARKUP_TOKEN.finditer(source):
        token = found.group()
        yield found.start(), token, context, attribute if context in ('"', "'") else ""
        if token.startswith("{"):
            continue
        if context == "" and token.startswith("<") and token != "<!--":  # noqa: S105
            name = _TAG_NAME.match(source, found.start())
            tag = name[1].lower() if name else ""
        elif context == "tag" and token in ('"', "'"):
            attribute = _style_or_text(tag, source[max(0, found.start() - _MAX_ATTRIBUTE_NAME) : found.start()])
        if context == "":
            context = "comment" if token == "<!--" else "tag" if token.startswith("<") else ""  # noqa: S105 - markup, no secret
        elif context == "comment":
            context = "" if token == "-->" else context  # noqa: S105
        elif context == "tag":
            context = "" if token in (">", "-->") else token if token in ('"', "'") else context
        elif token == context:
            context = "tag"


def _style_or_text(tag: str, before: str) -> str:
    """`style` for the attribute whose name ends this piece of a tag, if its value becomes part of a style."""
    words = before.rstrip().removesuffix("=").split()
    name = _LAST_NAME.split(words[-1].lower())[-1] if words else ""
    return "style" if name == "style" or (tag.startswith("mj-") and name not in _MJML_TEXTS) else ""


def check_html(html: str) -> None:
    """Refuses rendered HTML that could run code or links to disallowed schemes. Raises RenderError."""
    tree = LexborHTMLParser(html)
    refused = tree.css_first(_REFUSED_TAGS)
    if refused is not None:
        detail = f"the tag <{refused.tag}>, which mail and inboxes never run"
        raise RenderError("unsafe_html", detail, excerpt=f"<{refused.tag}")
    for meta in tree.css("meta[http-equiv]"):
        name = (meta.attributes.get("http-equiv") or "").strip().lower()
        if name not in _ALLOWED_EQUIVALENTS:
            raise RenderError("unsafe_html", f"a <meta http-equiv> for {name[:40] or 'nothing'}", excerpt="<meta")
    for node in tree.css("*"):
        for name, value in node.attributes.items():
            _check_attribute(name.lower(), value or "")


def _check_attribute(name: str, value: str) -> None:
    if name.startswith("on") or name == "srcdoc":
        raise RenderError("unsafe_html", f"the attribute {name[:40]}, which runs code", excerpt=name)
    if name in _LINK_ATTRIBUTES and not link_scheme_allowed(value):
        raise _unsafe_link(f"the attribute {name}", value)
    if name == "srcset" and not all(link_scheme_allowed(part) for part in value.split(",")):
        raise _unsafe_link("the attribute srcset", value)
    if name == "style" and _BAD_STYLE.search(value):
        raise _unsafe_link("a style", value)


def _unsafe_link(where: str, value: str) -> RenderError:
    detail = f"{where} holds a link of a kind that is not allowed; {', '.join(sorted(ALLOWED_SCHEMES))} are"
    return RenderError("unsafe_link", detail, excerpt=value)
