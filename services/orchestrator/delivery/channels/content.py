"""The content of a campaign: checked when it is saved, compiled once a version, rendered for one customer at a time."""

from collections.abc import Mapping
from typing import Any

import msgspec

from schemas.campaign import Campaign
from schemas.documents import DocumentError, suggestion, validate
from schemas.vocabulary import Class
from services.orchestrator.delivery.channels import BY_KEY
from services.orchestrator.delivery.channels.channel import Compiled, Problem, beginnings
from services.template import RenderError


class Rendered(msgspec.Struct, frozen=True):
    """The fields of a message, and the locale whose content they come from."""

    fields: dict[str, str]
    locale: str


class Content:
    """The compiled content of one campaign version."""

    __slots__ = ("_compiled", "_default", "_marketing", "_read")

    def __init__(
        self, compiled: Mapping[str, Mapping[str, tuple[str, Compiled]]], default: str, marketing: bool
    ) -> None:
        self._compiled, self._default, self._marketing = compiled, default, marketing
        self._read = {
            channel: frozenset().union(*(beginnings(fields) for _, fields in locales.values()))
            for channel, locales in compiled.items()
        }

    def reads(self, channel: str, path: str) -> bool:
        """Whether a template of the channel may read anything at or below a path of one word or two."""
        read = self._read.get(channel, frozenset())
        return path in read or f"{path.partition('.')[0]}.*" in read

    def render(self, channel: str, locale: str | None, context: Mapping[str, Any]) -> Rendered:
        """The message on a channel in the customer's locale, its language, or the default. Raises RenderError."""
        locales = self._compiled.get(channel, {})
        for wanted in _candidates(locale, self._default):
            if wanted in locales:
                name, compiled = locales[wanted]
                return Rendered(BY_KEY[channel].render(compiled, context, self._marketing), name)
        raise RenderError("no_content", f"no content for channel {channel} in the default locale")


def compile_content(document: Campaign) -> Content:
    """The content of a checked campaign. Raises TemplateSyntaxError for one that was not checked."""
    compiled = {
        key: {_plain(locale): (locale, BY_KEY[key].compile(fields)) for locale, fields in locales.items()}
        for key, locales in document.content.items()
    }
    return Content(compiled, document.default_locale, document.class_ is Class.MARKETING)


def check_content(document: Campaign) -> list[Problem]:
    """All that is wrong with a campaign's content: (JSON pointer, code, detail) each."""
    problems: list[Problem] = []
    for key, locales in document.content.items():
        here = f"/content/{key}"
        if key not in BY_KEY:
            problems.append((here, "unknown_field", f"unknown channel `{key}`{suggestion(key, BY_KEY)}"))
            continue
        if _plain(document.default_locale) not in map(_plain, locales):
            detail = f"the default locale `{document.default_locale}` has no content here"
            problems.append((here, "missing_default_locale", detail))
        if len(set(map(_plain, locales))) < len(locales):
            problems.append((here, "duplicate_locale", "two locales differ only in case or in `-` and `_`"))
        for locale, fields in locales.items():
            found = _check_fields(key, fields, document.class_ is Class.MARKETING)
            problems += [(f"{here}/{locale}{pointer}", code, detail) for pointer, code, detail in found]
    return problems


def _check_fields(key: str, fields: Mapping[str, str], marketing: bool) -> list[Problem]:
    channel = BY_KEY[key]
    try:
        validate(channel.fields, fields)
    except DocumentError as error:
        return error.errors
    return channel.check(fields, marketing)


def _candidates(locale: str | None, default: str) -> list[str]:
    wanted = [_plain(locale), _plain(locale).split("-")[0]] if locale else []
    return [*wanted, _plain(default)]


def _plain(locale: str) -> str:
    return locale.replace("_", "-").lower()
