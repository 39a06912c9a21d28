"""SMS: one text, counted in parts as networks count them."""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from gsm0338 import Codec

from schemas.fields import Document
from schemas.finding import Finding
from services.orchestrator.delivery.channels import content_checks as checks
from services.orchestrator.delivery.channels.definition import CompiledTemplates
from services.orchestrator.delivery.channels.sendability import check_sendable
from services.template import RenderError

MAX_PARTS: Final = 10
MAX_CHARACTERS: Final = 1600


class SmsFields(Document):
    """Content of an SMS."""

    text: str


class SmsParts(NamedTuple):
    """How networks send a text: its alphabet, and the text of each part."""

    encoding: str  # "gsm-7" or "ucs-2"
    texts: tuple[str, ...]
    outside: str  # the characters that GSM-7 does not have


class SmsChannel:
    """The channel `sms`."""

    id = "sms"
    fields: type[Document] = SmsFields
    sample_content: Mapping[str, str] = {"text": "{{ customer.id }}"}
    sample_address = "+49 151 12345678"

    def validate_content(self, content: Mapping[str, str], marketing: bool) -> list[Finding]:
        """Syntax, names, and the length of texts without values."""
        problems = checks.check_templates(content)
        return problems or check_sendable(self.compile_templates(content), self, marketing)

    def compile_templates(self, content: Mapping[str, str]) -> CompiledTemplates:
        """Its one template."""
        return checks.compile_fields(content)

    def render(self, compiled: CompiledTemplates, context: Mapping[str, Any], marketing: bool) -> dict[str, str]:
        """The text, of at most 10 parts."""
        text = checks.clean_text("text", compiled["text"].render(context), MAX_CHARACTERS).replace("\r\n", "\n")
        if (count := len(split_sms(text).texts)) > MAX_PARTS:
            raise RenderError("too_long", f"text needs {count} parts, at most {MAX_PARTS} are allowed", field="text")
        return {"text": text}

    def measure(self, rendered: Mapping[str, str]) -> dict[str, str | int]:
        """Alphabet, number of parts, and the characters that make parts short."""
        parts = split_sms(rendered["text"])
        return {"encoding": parts.encoding, "parts": len(parts.texts), "outside_gsm": parts.outside}

    def summarise(self, rendered: Mapping[str, str]) -> str:
        """The number of parts."""
        count = len(split_sms(rendered.get("text", "")).texts)
        return "1 part" if count == 1 else f"{count} parts"


def _alphabet(prefix: bytes) -> frozenset[str]:
    decode = Codec().decode
    return frozenset(decode(prefix + bytes([code]), "ignore")[0] for code in range(128) if code != 0x1B) - {""}


_GSM_BASIC: Final = _alphabet(b"")
_GSM_EXTENSION: Final = _alphabet(b"\x1b") - _GSM_BASIC


def split_sms(text: str) -> SmsParts:
    """Splits a text into parts: 160 or 153 septets of GSM-7, else 70 or 67 units of UCS-2; no character is split."""
    outside = "".join(dict.fromkeys(each for each in text if each not in _GSM_BASIC and each not in _GSM_EXTENSION))
    if outside:
        return SmsParts("ucs-2", _split_by_size(text, [1 + (ord(each) > 0xFFFF) for each in text], 70, 67), outside)
    return SmsParts("gsm-7", _split_by_size(text, [1 + (each in _GSM_EXTENSION) for each in text], 160, 153), "")


def _split_by_size(text: str, sizes: list[int], single_limit: int, part_limit: int) -> tuple[str, ...]:
    if sum(sizes) <= single_limit:
        return (text,)
    parts, start, used = [], 0, 0
    for position, size in enumerate(sizes):
        if used + size > part_limit:
            parts.append(text[start:position])
            start, used = position, 0
        used += size
    return (*parts, text[start:])


CHANNEL: Final = SmsChannel()
