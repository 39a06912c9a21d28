"""Which texts the public pages use, as their catalogues must have them: extracted from code, templates and channels."""

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

from babel.messages.extract import extract
from jinja2.ext import babel_extract

from schemas.channel_registry import CHANNEL_REGISTRY
from services.preference.centre.consent_wording import TICKED_BOX

CENTRE = Path(__file__).parents[2] / "services" / "preference" / "centre"
_KEYWORDS = {"text": None, "plural": (1, 2), "_": None}


class SourceMessage(NamedTuple):
    """A text in English, with its plural form and context where it has them."""

    context: str | None
    one: str
    many: str | None


def source_messages() -> list[SourceMessage]:
    """All texts, each once, in the order in which they are met."""
    return list(dict.fromkeys([*_of_code(), *_of_channels()]))


def _of_code() -> Iterator[SourceMessage]:
    yield SourceMessage(None, TICKED_BOX, None)
    for path in sorted(CENTRE.glob("templates/*.html")):
        for _, _, message, _ in babel_extract(BytesIO(path.read_bytes()), ["_"], [], {"silent": "false"}):
            yield _message(message)
    for path in sorted(CENTRE.glob("*.py")):
        for _, message, _, _ in extract("python", BytesIO(path.read_bytes()), keywords=_KEYWORDS):
            yield _message(message)


def _of_channels() -> Iterator[SourceMessage]:
    for declared in CHANNEL_REGISTRY.declarations.values():
        yield SourceMessage(None, declared.label, None)
        yield SourceMessage("by", declared.in_sentence, None)


def _message(found: object) -> SourceMessage:
    if isinstance(found, tuple):
        return SourceMessage(None, str(found[0]), str(found[1]))
    return SourceMessage(None, str(found), None)
