"""In-app: a message in the inbox of the company's own application. Its limits are our own."""

import re
from collections.abc import Mapping
from typing import Any, Final

from schemas.fields import Document
from schemas.finding import Finding
from services.orchestrator.delivery.channels import content_checks as checks
from services.orchestrator.delivery.channels.definition import CompiledTemplates
from services.orchestrator.delivery.channels.sendability import check_sendable
from services.template import RenderError

MAX_TITLE: Final = 100
MAX_BODY: Final = 4000


class InAppFields(Document):
    """Content of a message in the app."""

    title: str
    body: str
    link: str | None = None


class InAppChannel:
    """The channel `in_app`."""

    id = "in_app"
    fields: type[Document] = InAppFields
    sample_content: Mapping[str, str] = {"title": "{{ customer.id }}", "body": "{{ customer.id }}"}
    sample_address = "c-1"

    def validate_content(self, content: Mapping[str, str], marketing: bool) -> list[Finding]:
        """Syntax, names, and the limits of content without values."""
        problems = checks.check_templates(content)
        return problems or check_sendable(self.compile_templates(content), self, marketing)

    def compile_templates(self, content: Mapping[str, str]) -> CompiledTemplates:
        """One template a field."""
        return checks.compile_fields(content)

    def render(self, compiled: CompiledTemplates, context: Mapping[str, Any], marketing: bool) -> dict[str, str]:
        """Title, body, and the link where there is one: https, or a path inside the app."""
        message = {
            "title": checks.clean_line("title", compiled["title"].render(context), MAX_TITLE),
            "body": checks.clean_text("body", compiled["body"].render(context), MAX_BODY),
        }
        if "link" in compiled:
            message["link"] = _clean_app_link(compiled["link"].render(context))
        return message

    def measure(self, rendered: Mapping[str, str]) -> dict[str, str | int]:
        """The length of the body in characters."""
        return {"body_characters": len(rendered["body"])}

    def summarise(self, rendered: Mapping[str, str]) -> str:
        """Nothing."""
        return ""


def _clean_app_link(text: str) -> str:
    link = text.strip()
    if not link.startswith("/"):
        return checks.clean_https_link("link", link)
    if link.startswith("//") or "\\" in link or checks.has_control_character(link) or re.search(r"\s", link):
        detail = "link must be a path inside the app or an absolute https link"
        raise RenderError("unsafe_link", detail, field="link", offset=len(text) - len(text.lstrip()))
    return checks.check_length("link", link, 2048, text)


CHANNEL: Final = InAppChannel()
