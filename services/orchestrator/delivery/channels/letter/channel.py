"""Letters: sender, reference, subject and a body of simple HTML, on sheets whose address is read through a window."""

from collections.abc import Mapping
from typing import Any, Final

from schemas.fields import Document
from schemas.finding import Finding
from services.orchestrator.delivery.channels import content_checks as checks
from services.orchestrator.delivery.channels.definition import CompiledTemplates
from services.orchestrator.delivery.channels.letter.fonts import printable
from services.orchestrator.delivery.channels.letter.formats import DEFAULT_FORMAT, FORMATS
from services.orchestrator.delivery.channels.letter.markup import read_body, write_body
from services.orchestrator.delivery.channels.letter.typesetting import lines_of, set_letter
from services.orchestrator.delivery.channels.sendability import check_sendable
from services.template import RenderError, check_html

MAX_SUBJECT: Final = 200
MAX_LINES_OF_HEAD: Final = 1000
"""Characters of the sender, and of the reference."""
_HTML_FIELDS: Final = frozenset({"html"})


class LetterContent(Document):
    """Content of a letter. `sender` and `reference` (which holds the date, if any) may have several lines.

    `format`: `din_5008_b` (A4) or `us_10`; without it the former. Without `sender` it is that of the settings.
    """

    subject: str
    html: str
    sender: str | None = None
    reference: str | None = None
    format: str | None = None


class LetterChannel:
    """The channel `letter`."""

    id = "letter"
    fields: type[Document] = LetterContent
    sample_content: Mapping[str, str] = {"subject": "{{ customer.id }}", "html": "<p>{{ customer.id }}</p>"}
    sample_address = "Ada Example, 1 Example Street, 12345 Exampleton"

    def validate_content(self, content: Mapping[str, str], marketing: bool) -> list[Finding]:
        """Syntax, names, elements that cannot be printed, and whether it fits on the pages."""
        problems = checks.check_templates(content, _HTML_FIELDS)
        return problems or check_sendable(self.compile_templates(content), self, marketing)

    def compile_templates(self, content: Mapping[str, str]) -> CompiledTemplates:
        """One template a field."""
        return checks.compile_fields(content, _HTML_FIELDS)

    def render(self, compiled: CompiledTemplates, context: Mapping[str, Any], marketing: bool) -> dict[str, str]:
        """The texts of the letter, if it can be set in its format. The PDF is drawn when it is handed over."""
        subject = checks.clean_line("subject", compiled["subject"].render(context), MAX_SUBJECT)
        page = compiled["html"].render(context)
        if checks.has_control_character(page, allowed="\n\r\t"):
            raise RenderError("control_character", "html holds a control character", field="html")
        check_html(page)
        message = {
            "subject": printable("subject", subject),
            "html": write_body(read_body("html", page)),
            "format": _format(compiled, context),
        }
        sender = context.get("sender") or {}
        default = f"{sender.get('legal_name') or ''}\n{sender.get('postal_address') or ''}"
        for field, text in (
            ("sender", compiled["sender"].render(context) if "sender" in compiled else default),
            ("reference", compiled["reference"].render(context) if "reference" in compiled else ""),
        ):
            if text.strip():
                cleaned = checks.clean_text(field, text, MAX_LINES_OF_HEAD)
                message[field] = "\n".join(lines_of(printable(field, cleaned)))
        set_letter(message)
        return message

    def measure(self, rendered: Mapping[str, str]) -> dict[str, str | int]:
        """The number of pages, and the format."""
        return {"pages": len(set_letter(rendered)), "format": rendered["format"]}

    def summarise(self, rendered: Mapping[str, str]) -> str:
        """The number of pages."""
        pages = len(set_letter(rendered))
        return f"{pages} page{'s' if pages > 1 else ''}"


def _format(compiled: CompiledTemplates, context: Mapping[str, Any]) -> str:
    name = compiled["format"].render(context).strip() if "format" in compiled else DEFAULT_FORMAT
    if name not in FORMATS:
        raise RenderError("unknown_format", f"there is no such format: use {' or '.join(FORMATS)}", field="format")
    return name


CHANNEL: Final = LetterChannel()
