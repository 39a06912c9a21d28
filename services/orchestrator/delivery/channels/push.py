"""Push: a title, a text and a link on a phone's screen.

4096 bytes is the payload that APNs and FCM document as their most. 100 and 1000 characters are our own limits, far
above what devices show, so that the payload always has room for the link and the keys of providers.
"""

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from schemas.fields import Document
from services.orchestrator.delivery.channels import channel
from services.orchestrator.delivery.channels.channel import BadAddress, Compiled, Problem
from services.template import RenderError

MAX_TITLE: Final = 100
MAX_BODY: Final = 1000
MAX_PAYLOAD: Final = 4096  # bytes
MAX_TOKEN: Final = 2048
_ENVELOPE: Final = 64  # bytes of JSON around the texts
_TOKEN: Final = re.compile(f"[!-~]{{1,{MAX_TOKEN}}}")


class PushFields(Document):
    """Content of a push message."""

    title: str
    body: str
    link: str | None = None


class Push:
    """The channel `push`. Addresses are device tokens."""

    key = "push"
    fields: type[Document] = PushFields

    def normalise(self, address: str) -> str:
        """The token as it is: 1 to 2048 visible ASCII characters."""
        if not _TOKEN.fullmatch(address):
            raise BadAddress(f"a device token has 1 to {MAX_TOKEN} visible ASCII characters")
        return address

    def check(self, content: Mapping[str, str], marketing: bool) -> list[Problem]:
        """Syntax, names, and the limits of content without values."""
        problems = channel.check_templates(content)
        return problems or channel.check_literals(self.compile(content), self, marketing)

    def compile(self, content: Mapping[str, str]) -> Compiled:
        """One template a field."""
        return channel.compile_fields(content)

    def render(self, compiled: Compiled, context: Mapping[str, Any], marketing: bool) -> dict[str, str]:
        """Title, body, and the link where there is one; together at most 4096 bytes of JSON."""
        message = {
            "title": channel.one_line("title", compiled["title"].render(context), MAX_TITLE),
            "body": channel.body("body", compiled["body"].render(context), MAX_BODY),
        }
        if "link" in compiled:
            message["link"] = channel.web_link("link", compiled["link"].render(context))
        if _at_most(message) > MAX_PAYLOAD and (size := _payload(message)) > MAX_PAYLOAD:
            raise RenderError("too_long", f"the payload has {size} bytes, at most {MAX_PAYLOAD} are allowed")
        return message

    def preview(self, rendered: Mapping[str, str]) -> dict[str, str | int]:
        """The size of the payload in bytes."""
        return {"payload_bytes": _payload(rendered)}


def _payload(message: Mapping[str, str]) -> int:
    return len(json.dumps({"message": dict(message)}, ensure_ascii=False).encode())


def _at_most(message: Mapping[str, str]) -> int:
    """A bound on the payload's bytes, quick to know: in such texts JSON makes at most 2 bytes of an ASCII character."""
    size = _ENVELOPE
    for text in message.values():
        size += len(text) * (2 if text.isascii() else 4)
    return size


PUSH: Final = Push()
