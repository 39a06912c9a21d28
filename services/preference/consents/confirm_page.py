"""Renders the page by which a customer confirms a consent. Pure. It loads nothing; the style is inline, allowed by its
hash.
"""

import base64
import hashlib
from collections.abc import Sequence
from typing import Final

from jinja2 import DictLoader, Environment, select_autoescape

_STYLE = """
:root { color-scheme: light dark; --paper: light-dark(#faf8f5, #17141a); --surface: light-dark(#fff, #201c24);
  --ink: light-dark(#231f26, #f0ecf2); --line: light-dark(#e4dfe6, #3a3440); --brand: light-dark(#8a2455, #f0a6c8);
  --button: #8a2455; }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.55 system-ui, sans-serif; }
main { max-width: 34rem; margin: 0 auto; padding: 48px 20px; }
h1 { font-size: 1.6rem; line-height: 1.25; font-weight: 620; margin: 0 0 12px; overflow-wrap: anywhere; }
p { margin: 0 0 16px; }
blockquote { margin: 0 0 20px; padding: 14px 18px; border: 1px solid var(--line); border-radius: 12px;
  background: var(--surface); white-space: pre-line; overflow-wrap: anywhere; }
a { color: var(--brand); }
button { font: inherit; font-weight: 550; min-height: 44px; padding: 8px 20px; border: 0; border-radius: 8px;
  background: var(--button); color: #fff; cursor: pointer; }
:focus-visible { outline: 3px solid var(--brand); outline-offset: 3px; }
"""
_TEMPLATE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>{{ title }}</title>
<link rel="icon" href="data:,">
<style>{{ style | safe }}</style>
</head>
<body>
<main>
<h1>{{ title }}</h1>
{% for line in lines %}<p>{{ line }}</p>
{% endfor %}{% if words %}<blockquote{% if locale %} lang="{{ locale }}" dir="auto"{% endif %}>{{ words }}</blockquote>
{% endif %}{% if preferences %}<p><a href="{{ preferences }}">Your preferences</a></p>
{% endif %}{% if action %}<form method="post" action="{{ action }}">
<button type="submit">Confirm</button>
</form>
{% endif %}</main>
</body>
</html>
"""
_PAGE = Environment(
    loader=DictLoader({"page": _TEMPLATE}), autoescape=select_autoescape(default=True, default_for_string=True)
).get_template("page")
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()

CONFIRM_HEADERS: Final = {
    "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; img-src data:; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Robots-Tag": "noindex",
    "Cache-Control": "no-store",
}
"""HTTP headers of every page; the address of one confirms, so nobody else gets it."""


def ask_page(subject: str, action: str, words: str | None, locale: str | None) -> str:
    """The page with one button. `words`: the text that the customer has agreed to, where it is kept."""
    lines = [
        "Somebody has asked for this for your address. If it was you, press the button. If not, do nothing: then "
        "nothing is sent."
    ]
    if words:
        lines.append("These were the words:")
    return _render(f"Confirm {subject}?", lines, action, words, locale)


def confirmed_page(subject: str, stopped: bool, preferences: str) -> str:
    """The page after the button was pressed. `stopped`: an opt-out of the customer forbids it all the same.
    `preferences`: the address of the customer's own page.
    """
    lines = [f"We have recorded that you want {subject}."]
    if stopped:
        lines.append(
            "You have stopped our advertising before, and that still holds: we send nothing until you allow it again "
            "in your preferences."
        )
    else:
        lines.append("You can stop it at any time, by the link in every message.")
    return _render("Thank you", lines, preferences=preferences)


def already_page(subject: str) -> str:
    """The page of a link that was used before."""
    return _render("Already confirmed", [f"You have confirmed {subject} before. Nothing was changed now."])


def expired_page() -> str:
    """The page of a link whose time is over."""
    return _render(
        "This link is too old", ["It worked for seven days. Nothing has been changed: please ask again where you did."]
    )


def unknown_page() -> str:
    """The page of every link that we did not sign, and of those whose request is gone."""
    return _render(
        "This link does not work",
        ["Nothing has been changed. The link may have been cut off on its way.", "Please ask again where you did."],
    )


def _render(
    title: str,
    lines: Sequence[str],
    action: str = "",
    words: str | None = None,
    locale: str | None = None,
    preferences: str = "",
) -> str:
    shown = {"action": action, "words": words, "locale": locale, "preferences": preferences}
    return _PAGE.render(title=title, style=_STYLE, lines=lines, **shown)
