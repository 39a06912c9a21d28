"""The wording of an approved template, as it was approved: text with `{{1}}` or `{{name}}` where parameters stand.

It is not sent: the provider has it. It is there for previews, for lengths, and to see that no parameter is missing. So
a placeholder is no template of ours; it becomes a mark, and the mark becomes the rendered parameter.
"""

import re
from collections.abc import Mapping
from typing import Final

_PLACEHOLDER: Final = re.compile(r"\{\{\s*([a-z][a-z0-9_]{0,49}|[1-9][0-9]?)\s*\}\}")
_OPEN, _CLOSE = "\ue000", "\ue001"
_MARK: Final = re.compile(f"{_OPEN}([a-z0-9_]+){_CLOSE}")


def find_placeholders(wording: str) -> set[str]:
    """The names of the parameters that a wording has places for."""
    return set(_PLACEHOLDER.findall(wording))


def find_fault(wording: str) -> str | None:
    """What is wrong with a wording; None if nothing is."""
    rest = _PLACEHOLDER.sub("", wording)
    if "{{" in rest or "{%" in rest or "}}" in rest:
        return "holds braces that are no place of a parameter: write {{1}} or {{name}}, as the template was approved"
    if _OPEN in wording or _CLOSE in wording:
        return "holds a character for private use"
    return None


def mark_placeholders(wording: str) -> str:
    """The wording as the source of a template that prints it as it is, with marks."""
    return _PLACEHOLDER.sub(lambda found: f"{_OPEN}{found[1]}{_CLOSE}", wording)


def fill_in(marked: str, parameters: Mapping[str, str]) -> str:
    """The wording with its parameters. One that is not there, as when a field is tried alone, is a single character."""
    return _MARK.sub(lambda found: parameters.get(found[1], "…"), marked)
