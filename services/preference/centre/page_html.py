"""Renders the public pages as HTML. Pure. They load nothing: style is inline, allowed by its hash, logos are data."""

import base64
import hashlib
from collections.abc import Mapping
from functools import lru_cache
from importlib import resources
from typing import Any, NamedTuple

from babel import Locale
from jinja2 import Environment, PackageLoader, StrictUndefined

from services.preference.centre.brand import ON_DARK_ACCENT, ON_LIGHT_ACCENT, Brand
from services.preference.centre.languages import PageLanguage


class PageLink(NamedTuple):
    """A link of a page's frame; `code` is the language of one that switches to it."""

    href: str
    text: str = ""
    code: str = ""


class FrameLinks(NamedTuple):
    """The links of a page: where its forms go, the other languages, the footer, and the centre it belongs to."""

    here: str
    languages: tuple[PageLink, ...] = ()
    footer: tuple[PageLink, ...] = ()
    centre: str = ""


class CentrePages:
    """Renders templates in the frame of a brand."""

    def __init__(self, brand: Brand) -> None:
        self.brand = brand
        self._style = _style_of(brand)
        digest = base64.b64encode(hashlib.sha256(self._style.encode()).digest()).decode()
        self.headers = {
            "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; "
            "form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
            "Referrer-Policy": "no-referrer",
            "X-Robots-Tag": "noindex",
            "Vary": "Accept-Language",
        }
        """HTTP headers of every page."""

    def render(self, template: str, language: PageLanguage, links: FrameLinks, title: str, **values: Any) -> str:
        """A page. `title`: that of the document."""
        frame = {"title": title, "style": self._style, "brand": self.brand, "own_name": own_name}
        page = _environment(language.code, language).get_template(template)
        return page.render(language=language, links=links, **frame, **values)

    def message(self, language: PageLanguage, links: FrameLinks, heading: str, *lines: str, **values: Any) -> str:
        """A page with a heading and some sentences."""
        parts: Mapping[str, Any] = {"act": None, "words": None, "back": None, "less": None, "less_text": "", **values}
        return self.render("message.html", language, links, heading, heading=heading, lines=lines, **parts)

    def footer(self, language: PageLanguage, data: str | None) -> tuple[PageLink, ...]:
        """The links of the footer. `data`: the page of what is held."""
        texts = {
            "erase_url": language.text("Delete my data"),
            "privacy_url": language.text("Privacy"),
            "accessibility_url": language.text("Accessibility"),
            "support": language.text("Ask us"),
        }
        own = [] if data is None else [PageLink(data, language.text("What we hold about you"))]
        named = [(getattr(self.brand, name), text) for name, text in texts.items()]
        return (*own, *(PageLink(href, text) for href, text in named if href))


@lru_cache(maxsize=32)
def own_name(code: str) -> str:
    """What a language calls itself, such as `Deutsch`."""
    name = Locale.parse(code).get_display_name(code) or code
    return name[:1].upper() + name[1:]


@lru_cache(maxsize=32)
def _environment(code: str, language: PageLanguage) -> Environment:
    """One for each language: the translated texts of a template are looked up in its catalogue."""
    environment = Environment(
        loader=PackageLoader("services.preference.centre"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
    )
    environment.install_gettext_translations(language.translations, newstyle=True)  # type: ignore[attr-defined]
    return environment


def _style_of(brand: Brand) -> str:
    colours = (
        f":root {{ --accent: light-dark({brand.accent}, {brand.accent_dark}); "
        f"--on-accent: light-dark({ON_LIGHT_ACCENT}, {ON_DARK_ACCENT}); }}\n"
    )
    return f"\n{colours}{resources.files(__package__).joinpath('style.css').read_text('utf-8')}"
