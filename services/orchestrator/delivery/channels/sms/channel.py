"""SMS: one text, counted in parts as networks count them."""

import unicodedata
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from schemas.fields import Document
from schemas.finding import Finding, Severity
from services.orchestrator.delivery.channels import content_checks as checks
from services.orchestrator.delivery.channels.definition import CompiledTemplates
from services.orchestrator.delivery.channels.sendability import check_sendable, render_sample
from services.orchestrator.delivery.channels.sms.parts import (
    GSM,
    PART_SIZES,
    UCS2,
    SmsParts,
    count_in_words,
    split_sms,
)
from services.orchestrator.delivery.channels.sms.plain_characters import (
    describe_character,
    name_replacements,
    suggest_plain_characters,
    without_joiners,
    write_plainly,
)
from services.template import RenderError, line_and_column

MAX_PARTS: Final = 10
"""Phones put no more than that together reliably, and each part is paid for."""
MAX_CHARACTERS: Final = 1600
MAX_NAMED_BRIEFLY: Final = 3
"""How many characters the inbox names."""
ALPHABET_NAMES: Final = {GSM: "the GSM alphabet", UCS2: "Unicode"}


class SmsFields(Document):
    """Content of an SMS."""

    text: str


class SmsChannel:
    """The channel `sms`."""

    id = "sms"
    fields: type[Document] = SmsFields
    sample_content: Mapping[str, str] = {"text": "{{ customer.id }}"}
    sample_address = "+49 151 12345678"

    def validate_content(self, content: Mapping[str, str], marketing: bool) -> list[Finding]:
        """Syntax, names, the number of parts of texts without values, and a warning where a character costs a part."""
        problems = checks.check_templates(content)
        if problems:
            return problems
        compiled = self.compile_templates(content)
        found = [_with_remedy(each, content["text"]) for each in check_sendable(compiled, self, marketing)]
        if any(each.severity is Severity.ERROR for each in found):
            return found
        sample = render_sample(compiled, self, marketing)
        return found if sample is None else [*found, *_costly_characters(content["text"], sample["text"])]

    def compile_templates(self, content: Mapping[str, str]) -> CompiledTemplates:
        """Its one template."""
        return checks.compile_fields(content)

    def render(self, compiled: CompiledTemplates, context: Mapping[str, Any], marketing: bool) -> dict[str, str]:
        """The text, of at most 10 parts. A letter with its accent behind it becomes one character, which the GSM
        alphabet may have.
        """
        rendered = compiled["text"].render(context)
        text = checks.clean_text("text", _compose(rendered), MAX_CHARACTERS).replace("\r\n", "\n")
        check_parts(text, offset=len(rendered) - len(rendered.lstrip()))
        return {"text": text}

    def measure(self, rendered: Mapping[str, str]) -> dict[str, str | int]:
        """Alphabet, number of parts, the characters that make parts short, and how to save parts, if that is known."""
        text = rendered.get("text", "")
        parts = split_sms(text)
        facts: dict[str, str | int] = {
            "encoding": parts.encoding,
            "parts": len(parts.texts),
            "outside_gsm": parts.outside,
        }
        suggestion = suggest_plain_characters(text)
        return facts if suggestion is None else {**facts, "suggestion": suggestion}

    def summarise(self, rendered: Mapping[str, str]) -> str:
        """The number of parts, and why they are short where they are: `2 parts in Unicode because of ’`."""
        text = rendered.get("text", "")
        parts = split_sms(text)
        count = count_in_words(len(parts.texts))
        if parts.encoding == GSM:
            return count
        return f"{count} in Unicode because of {_name_briefly(without_joiners(parts.outside))}"


def check_parts(text: str, most: int | None = None, offset: int = 0) -> None:
    """Raises RenderError for a text of more than 10 parts. `offset`: of the text in what the template wrote, of which
    `most` characters are.
    """
    parts = split_sms(text)
    if len(parts.texts) > MAX_PARTS:
        end = sum(map(len, parts.texts[:MAX_PARTS]))
        offset += end if most is None else min(end, most)
        raise RenderError("too_long", _describe_excess(parts), field="text", offset=offset)


def _compose(text: str) -> str:
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def _name_briefly(outside: str) -> str:
    if sum(map(str.isalpha, outside)) > MAX_NAMED_BRIEFLY:  # another script, or another language
        return "its letters"
    shown = " ".join(describe_character(each).partition(" (")[0] for each in outside[:MAX_NAMED_BRIEFLY])
    return shown + (" and others" if len(outside) > MAX_NAMED_BRIEFLY else "")


def _describe_excess(parts: SmsParts) -> str:
    most = {encoding: part * MAX_PARTS for encoding, (_, part) in PART_SIZES.items()}
    return (
        f"text needs {len(parts.texts)} parts in {ALPHABET_NAMES[parts.encoding]}, at most {MAX_PARTS} are allowed: "
        f"{most[GSM]} characters of the GSM alphabet, or {most[UCS2]} if one is outside it"
    )


def _with_remedy(finding: Finding, source: str) -> Finding:
    """Of a text that is too long: which characters of the template make its parts short, where they can be replaced."""
    text = _compose(source)
    replacements = name_replacements(split_sms(text).outside)
    if finding.code != "too_long" or not replacements or split_sms(write_plainly(text)).outside:
        return finding
    suggestion = f"shorten the text, or {replacements}: a part then holds more than twice as many characters"
    return msgspec.structs.replace(finding, suggestion=suggestion)


def _costly_characters(source: str, sample: str) -> list[Finding]:
    """A warning about the first character of the template that costs a part, if one does."""
    suggestion = suggest_plain_characters(sample)
    if suggestion is None:
        return []
    character = split_sms(sample).outside[0]
    line, column = line_and_column(source, max(source.find(character), 0))
    _, single = PART_SIZES[GSM]
    detail = (
        f"line {line}, column {column}: {describe_character(character)} is outside the GSM alphabet, so that a part of "
        f"the whole text holds {PART_SIZES[UCS2][1]} characters, not {single}"
    )
    return [
        Finding("/text", "costly_character", detail, line, column, suggestion=suggestion, severity=Severity.WARNING)
    ]


CHANNEL: Final = SmsChannel()
