"""The content of a campaign: checked when saved, compiled once per version, rendered per customer."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

import msgspec

from schemas.campaign import Campaign
from schemas.documents import DocumentError, did_you_mean, validate_document
from schemas.finding import Finding, Severity
from schemas.vocabulary import Class
from services.orchestrator.delivery.channels.content_checks import variable_prefixes
from services.orchestrator.delivery.channels.definition import CompiledTemplates
from services.orchestrator.delivery.channels.failure_cause import name_cause
from services.orchestrator.delivery.channels.registry import CHANNELS_BY_ID
from services.orchestrator.delivery.channels.sendability import check_sendable
from services.template import TIME_NAME, RenderError, RenderingTime, count_words

MAX_CONTENTS: Final = 200
"""Contents of one campaign, all channels and locales together. Each is rendered for trial at each save."""
MAX_WORDS: Final = 50_000
"""Words in the outputs and tags of all of them. Each process that decides compiles them, for a second at most."""


class RenderedContent(msgspec.Struct, frozen=True):
    """The fields of a message, and the locale whose content they come from."""

    fields: dict[str, str]
    locale: str


class CompiledContent:
    """The compiled content of one campaign version."""

    __slots__ = ("_compiled", "_default", "_marketing", "_read")

    def __init__(
        self, compiled: Mapping[str, Mapping[str, tuple[str, CompiledTemplates]]], default: str, marketing: bool
    ) -> None:
        self._compiled, self._default, self._marketing = compiled, default, marketing
        self._read = {
            channel: frozenset().union(*(variable_prefixes(fields) for _, fields in locales.values()))
            for channel, locales in compiled.items()
        }

    def reads(self, channel: str, path: str) -> bool:
        """Whether a template of the channel may read anything at or below a path of one or two names."""
        read = self._read.get(channel, frozenset())
        return path in read or f"{path.partition('.')[0]}.*" in read

    def render(self, channel: str, locale: str | None, context: Mapping[str, Any]) -> RenderedContent:
        """Renders the message in the best locale for the customer, or the default locale. Raises RenderError."""
        locales = self._compiled.get(channel, {})
        for wanted in _locale_candidates(locale, self._default):
            if wanted in locales:
                name, compiled = locales[wanted]
                context = {**context, TIME_NAME: RenderingTime()}

                def render(values: Mapping[str, Any], compiled: CompiledTemplates = compiled) -> dict[str, str]:
                    return CHANNELS_BY_ID[channel].render(compiled, values, self._marketing)

                try:
                    return RenderedContent(render(context), name)
                except RenderError as error:
                    error.locate(f"/content/{channel}/{name}")
                    name_cause(error, compiled, context, render)
                    raise
        missing = RenderError("no_content", f"no content for channel {channel} in the default locale")
        missing.locate(f"/content/{channel}")
        raise missing


def compile_content(document: Campaign) -> CompiledContent:
    """Compiles the content of a checked campaign. Raises TemplateSyntaxError for one that was not checked."""
    compiled = {
        key: {
            _normalise_locale(locale): (locale, CHANNELS_BY_ID[key].compile_templates(fields))
            for locale, fields in locales.items()
        }
        for key, locales in document.content.items()
    }
    return CompiledContent(compiled, document.default_locale, document.class_ is Class.MARKETING)


def check_content(document: Campaign) -> list[Finding]:
    """Returns all findings about a campaign's content. Those that are errors refuse it."""
    problems: list[Finding] = []
    if sum(map(len, document.content.values())) > MAX_CONTENTS:
        detail = f"a campaign has at most {MAX_CONTENTS} contents, all channels and locales together"
        return [Finding("/content", "too_many", detail)]
    sources = (text for locales in document.content.values() for fields in locales.values() for text in fields.values())
    if sum(map(count_words, sources)) > MAX_WORDS:
        detail = f"the outputs and tags of all contents of a campaign have at most {MAX_WORDS} words together"
        return [Finding("/content", "too_many", detail)]
    for key, locales in document.content.items():
        base_pointer = f"/content/{key}"
        if key not in CHANNELS_BY_ID:
            problems.append(
                Finding(base_pointer, "unknown_field", f"unknown channel `{key}`{did_you_mean(key, CHANNELS_BY_ID)}")
            )
            continue
        if _normalise_locale(document.default_locale) not in map(_normalise_locale, locales):
            detail = f"the default locale `{document.default_locale}` has no content here"
            problems.append(Finding(base_pointer, "missing_default_locale", detail))
        if len(set(map(_normalise_locale, locales))) < len(locales):
            detail = "two locales differ only in case or in `-` and `_`"
            problems.append(Finding(base_pointer, "duplicate_locale", detail))
        for locale, fields in locales.items():
            found = _check_fields(key, fields, document)
            problems += [each.below(f"{base_pointer}/{locale}") for each in found]
    return problems


def _check_fields(key: str, fields: Mapping[str, str], document: Campaign) -> list[Finding]:
    channel, marketing = CHANNELS_BY_ID[key], document.class_ is Class.MARKETING
    try:
        validate_document(channel.fields, fields)
    except DocumentError as error:
        return error.findings
    found = channel.validate_content(fields, marketing)
    if any(each.severity is Severity.ERROR for each in found):
        return found
    compiled = channel.compile_templates(fields)
    known = {
        "campaign.key": document.key,
        "campaign.name": document.name,
        "event.type": document.trigger.event,
    }
    if variable_prefixes(compiled).isdisjoint((*known, "campaign.*", "event.*")):
        return found
    named = check_sendable(compiled, channel, marketing, known)
    return [*found, *(each for each in named if each.severity is Severity.ERROR)]


@lru_cache(maxsize=4096)
def _locale_candidates(locale: str | None, default: str) -> tuple[str, ...]:
    """Where to look for content, in order: RFC 4647 lookup of the customer's locale, then the default.

    The last subtag is taken off again and again: `zh-hant-tw`, `zh-hant`, `zh`. A subtag of one character only
    introduces the ones after it (`-u-` extensions, `-x-` private use), so it goes together with the next.
    """
    candidates: list[str] = []
    subtags = _normalise_locale(locale).split("-") if locale else []
    while subtags:
        if len(subtags[-1]) > 1 or len(subtags) == 1:
            candidates.append("-".join(subtags))
        subtags.pop()
    return (*candidates, _normalise_locale(default))


def _normalise_locale(locale: str) -> str:
    return locale.replace("_", "-").lower()
