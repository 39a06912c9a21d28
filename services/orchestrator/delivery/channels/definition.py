"""What a channel is: the protocol that the module `channel` of each channel's folder implements."""

from collections.abc import Mapping
from typing import Any, Protocol

from schemas.fields import Document
from schemas.finding import Finding
from services.template import Template

CompiledTemplates = Mapping[str, Template]


class ChannelDefinition(Protocol):
    """One channel: the fields of its content, and how content becomes a message."""

    id: str
    fields: type[Document]
    """The content of one campaign in one locale, as marketers write it."""
    sample_content: Mapping[str, str]
    """Valid content of a marketing campaign; it reads `customer.id` in its first field, or `event.type` if it
    must not know the customer."""
    sample_address: str
    """A valid address that belongs to nobody."""

    def validate_content(self, content: Mapping[str, str], marketing: bool) -> list[Finding]:
        """Findings about content that has valid fields: what never renders (errors), and what may fail (warnings).

        Their pointers begin at the fields.
        """
        ...

    def compile_templates(self, content: Mapping[str, str]) -> CompiledTemplates:
        """The template of each field. Raises TemplateSyntaxError."""
        ...

    def render(self, compiled: CompiledTemplates, context: Mapping[str, Any], marketing: bool) -> dict[str, str]:
        """The fields of the message. Raises RenderError."""
        ...

    def measure(self, rendered: Mapping[str, str]) -> dict[str, str | int]:
        """What previews show beside the fields of a message: lengths, number of parts, what is cut off."""
        ...

    def summarise(self, rendered: Mapping[str, str]) -> str:
        """What the console's inbox shows beside the time of a message, such as `2 parts`; may be empty."""
        ...
