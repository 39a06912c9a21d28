"""Push: a title, a text and a link on a phone's screen.

4096 bytes is the maximum payload that APNs and FCM document. 100 and 1000 characters are our own limits, far above what
devices show, so that the payload always has room for the link and the providers' keys.
"""

import json
from collections.abc import Mapping
from typing import Any, Final

from schemas.fields import Document
from schemas.finding import Finding
from services.orchestrator.delivery.channels import content_checks as checks
from services.orchestrator.delivery.channels.definition import CompiledTemplates
from services.orchestrator.delivery.channels.sendability import check_sendable
from services.template import RenderError

MAX_TITLE: Final = 100
MAX_BODY: Final = 1000
MAX_PAYLOAD: Final = 4096  # bytes
_ENVELOPE_BYTES: Final = 64  # bytes of JSON around the texts


class PushFields(Document):
    """Content of a push message."""

    title: str
    body: str
    link: str | None = None


class PushChannel:
    """The channel `push`."""

    id = "push"
    fields: type[Document] = PushFields
    sample_content: Mapping[str, str] = {"title": "{{ customer.id }}", "body": "{{ customer.id }}"}
    sample_address = "token-c-1"

    def validate_content(self, content: Mapping[str, str], marketing: bool) -> list[Finding]:
        """Syntax, names, and the limits of content without values."""
        problems = checks.check_templates(content)
        return problems or check_sendable(self.compile_templates(content), self, marketing)

    def compile_templates(self, content: Mapping[str, str]) -> CompiledTemplates:
        """One template a field."""
        return checks.compile_fields(content)

    def render(self, compiled: CompiledTemplates, context: Mapping[str, Any], marketing: bool) -> dict[str, str]:
        """Title, body, and the link where there is one; together at most 4096 bytes of JSON."""
        message = {
            "title": checks.clean_line("title", compiled["title"].render(context), MAX_TITLE),
            "body": checks.clean_text("body", compiled["body"].render(context), MAX_BODY),
        }
        if "link" in compiled:
            message["link"] = checks.clean_https_link("link", compiled["link"].render(context))
        if _payload_upper_bound(message) > MAX_PAYLOAD and (size := _payload_size(message)) > MAX_PAYLOAD:
            raise RenderError("too_long", f"the payload has {size} bytes, at most {MAX_PAYLOAD} are allowed")
        return message

    def measure(self, rendered: Mapping[str, str]) -> dict[str, str | int]:
        """The size of the payload in bytes."""
        return {"payload_bytes": _payload_size(rendered)}

    def summarise(self, rendered: Mapping[str, str]) -> str:
        """Nothing."""
        return ""


def _payload_size(message: Mapping[str, str]) -> int:
    return len(json.dumps({"message": dict(message)}, ensure_ascii=False).encode())


def _payload_upper_bound(message: Mapping[str, str]) -> int:
    """Returns an upper bound of the payload's bytes that is cheap to compute: JSON needs at most 2 bytes per ASCII
    character here.
    """
    size = _ENVELOPE_BYTES
    for text in message.values():
        size += len(text) * (2 if text.isascii() else 4)
    return size


CHANNEL: Final = PushChannel()
