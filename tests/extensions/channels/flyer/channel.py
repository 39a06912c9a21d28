"""Flyers: one side of plain text to a postal address."""

from collections.abc import Mapping
from typing import Any, Final

from schemas.fields import Document
from schemas.finding import Finding
from services.orchestrator.delivery.channels import content_checks as checks
from services.orchestrator.delivery.channels.definition import CompiledTemplates
from services.orchestrator.delivery.channels.sendability import check_sendable

MAX_CHARACTERS: Final = 500


class FlyerFields(Document):
    """Content of a flyer."""

    text: str


class FlyerChannel:
    """The channel `flyer`."""

    id = "flyer"
    fields: type[Document] = FlyerFields
    sample_content: Mapping[str, str] = {"text": "{{ customer.id }}"}
    sample_address = "1 Example Street, 12345 Exampleton"

    def validate_content(self, content: Mapping[str, str], marketing: bool) -> list[Finding]:
        """Syntax, names, and the length of texts without values."""
        problems = checks.check_templates(content)
        return problems or check_sendable(self.compile_templates(content), self, marketing)

    def compile_templates(self, content: Mapping[str, str]) -> CompiledTemplates:
        """Its one template."""
        return checks.compile_fields(content)

    def render(self, compiled: CompiledTemplates, context: Mapping[str, Any], marketing: bool) -> dict[str, str]:
        """The text. Raises RenderError."""
        return {"text": checks.clean_text("text", compiled["text"].render(context), MAX_CHARACTERS)}

    def measure(self, rendered: Mapping[str, str]) -> dict[str, str | int]:
        """The length of the text."""
        return {"characters": len(rendered["text"])}

    def summarise(self, rendered: Mapping[str, str]) -> str:
        """One page, always."""
        return "1 page"


CHANNEL: Final = FlyerChannel()
