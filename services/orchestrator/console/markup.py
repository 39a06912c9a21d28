"""Marks up the plain texts that pages share with the API. Everything else in them is HTML-escaped. Pure."""

import re

from markupsafe import Markup, escape

_CODE = re.compile(r"`([^`]+)`")


def mark_code(text: str) -> Markup:
    """A sentence with its names in backticks as code."""
    pieces = _CODE.split(text)
    return Markup("").join(
        Markup("<code>{}</code>").format(piece) if n % 2 else escape(piece) for n, piece in enumerate(pieces)
    )


def breakable(text: str, after: str = "./") -> Markup:
    """A name without spaces: it breaks after these characters, if at all. Event types do after dots and slashes."""
    pieces = re.split(f"([{re.escape(after)}])", text)
    return Markup("").join(
        Markup("{}<wbr>").format(piece) if n % 2 else escape(piece) for n, piece in enumerate(pieces)
    )
