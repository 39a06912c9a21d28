"""Renders the public pages as HTML. Pure. The pages load nothing: style is inline, allowed by its hash."""

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from jinja2 import DictLoader, Environment, select_autoescape

_STYLE = """
:root { color-scheme: light dark; --paper: light-dark(#faf8f5, #17141a); --surface: light-dark(#fff, #201c24);
  --ink: light-dark(#231f26, #f0ecf2); --ink-2: light-dark(#5a5360, #b9b0c0); --line: light-dark(#e4dfe6, #3a3440);
  --brand: light-dark(#8a2455, #f0a6c8); --button: #8a2455; }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.55 system-ui, sans-serif; }
main { max-width: 34rem; margin: 0 auto; padding: 48px 20px; }
h1 { font-size: 1.6rem; line-height: 1.25; font-weight: 620; margin: 0 0 12px; }
h2 { font-size: 1rem; font-weight: 600; margin: 32px 0 8px; }
p { margin: 0 0 16px; } .quiet { color: var(--ink-2); }
ul { list-style: none; margin: 0; padding: 0; border: 1px solid var(--line); border-radius: 12px;
  background: var(--surface); }
li { display: flex; justify-content: space-between; gap: 16px; padding: 12px 18px; }
li + li { border-top: 1px solid var(--line); }
button { font: inherit; font-weight: 550; min-height: 44px; padding: 8px 20px; border: 0; border-radius: 8px;
  background: var(--button); color: #fff; cursor: pointer; }
:focus-visible { outline: 3px solid var(--brand); outline-offset: 3px; }
"""
_BASE_TEMPLATE = """<!doctype html>
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
{% block body %}{% endblock %}
</main>
</body>
</html>
"""
_MESSAGE_TEMPLATE = """{% extends "base" %}{% block body %}
{% for line in lines %}<p>{{ line }}</p>
{% endfor %}{% if action %}<form method="post" action="{{ action }}">
<button type="submit" name="List-Unsubscribe" value="One-Click">{{ button }}</button>
</form>
{% endif %}{% endblock %}"""
_CENTRE_TEMPLATE = """{% extends "base" %}{% block body %}
{% if notice %}<p>{{ notice }}</p>
{% endif %}{% if rows %}<h2 id="topics">Topics</h2>
<ul aria-labelledby="topics">
{% for row in rows %}<li><span>{{ row.name }}</span> <span class="quiet">{{ row.status }}</span></li>
{% endfor %}</ul>
{% endif %}<h2 id="stop">No more advertising</h2>
<p class="quiet">Messages that you need, such as receipts, still come.</p>
<form method="post" action="{{ action }}" aria-labelledby="stop">
<button type="submit" name="List-Unsubscribe" value="One-Click">Stop all advertising</button>
</form>
{% endblock %}"""
_TEMPLATES = Environment(
    loader=DictLoader({"base": _BASE_TEMPLATE, "message": _MESSAGE_TEMPLATE, "centre": _CENTRE_TEMPLATE}),
    autoescape=select_autoescape(default=True, default_for_string=True),
)
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()

PAGE_HEADERS = {
    "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; img-src data:; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Robots-Tag": "noindex",
}
"""HTTP headers of every page."""


@dataclass(frozen=True, slots=True)
class TopicRow:
    """A topic, and whether the customer gets it."""

    name: str
    status: str


def unsubscribe_page(subject: str, action: str) -> str:
    """The page before unsubscribing: what would stop, and one button."""
    lines = [f"You will get no more messages about {subject}. Messages that you need, such as receipts, still come."]
    return _message_page(f"Stop messages about {subject}?", lines, action, "Unsubscribe")


def unsubscribed_page(subject: str, enforced: bool) -> str:
    """The page after unsubscribing."""
    pending_text = "A message that is on its way right now may still reach you; after that, none will."
    status_text = "This is in force now." if enforced else pending_text
    return _message_page("You are unsubscribed", [f"You will get no more messages about {subject}.", status_text])


def invalid_link_page() -> str:
    """The page for every link that we did not sign, whatever is wrong with it."""
    lines = [
        "Nothing has been changed. The link may have been cut off on its way.",
        "Please use the link in the latest message that you got, or answer that message.",
    ]
    return _message_page("This link does not work", lines)


def centre_page(rows: Sequence[TopicRow], notice: str, action: str) -> str:
    """The page with the topics that the customer gets, and a button that stops all advertising."""
    return _TEMPLATES.get_template("centre").render(
        title="What we write to you about", style=_STYLE, rows=rows, notice=notice, action=action
    )


def _message_page(title: str, lines: Sequence[str], action: str = "", button: str = "") -> str:
    return _TEMPLATES.get_template("message").render(
        title=title, style=_STYLE, lines=lines, action=action, button=button
    )
