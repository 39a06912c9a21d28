"""A chat message as an embed of Discord.

All texts of an embed have Discord's Markdown, so every character that could begin some is escaped; links stay as they
are, in the brackets in which nothing else is looked for. Nothing pings: `allowed_mentions` allows no kind of mention.
"""

import re
from typing import Any, Final

from services.orchestrator.delivery.adapters.chat_message import ChatMessage, split_links

COLOURS: Final = {"info": 0x2F6FDE, "success": 0x2E8B57, "warning": 0xE0A100, "danger": 0xC62828}
_MARKS: Final = re.compile(r"([\\*_~`|<>\[\]()])")
_AT_LINE_START: Final = re.compile(r"^([ \t]*[0-9]*)(?=[#+.-])(?:(?<=[0-9])(?=\.)|(?<![0-9])(?=[#+-]))", re.MULTILINE)
"""Where headings and lists begin: before `#`, `+`, `-`, and before the dot behind a number."""
_LINK_BUTTON: Final = 5
NOBODY: Final[dict[str, list[str]]] = {"parse": []}
"""As `allowed_mentions`: no role, no person, not everyone."""


def build_message(chat: ChatMessage) -> dict[str, Any]:
    """The body of a request, without what tells messages apart."""
    embed: dict[str, Any] = {"description": escape(chat.text)}
    if chat.title:
        embed["title"] = escape(chat.title)
    if chat.severity in COLOURS:
        embed["color"] = COLOURS[chat.severity]
    if chat.facts:
        embed["fields"] = [
            {"name": escape(label), "value": escape(value), "inline": True} for label, value in chat.facts
        ]
    if chat.image:
        embed["image"] = {"url": chat.image}
    body: dict[str, Any] = {"embeds": [embed], "allowed_mentions": NOBODY}
    if chat.buttons:
        buttons = [{"type": 2, "style": _LINK_BUTTON, "label": each.label, "url": each.link} for each in chat.buttons]
        body["components"] = [{"type": 1, "components": buttons}]
    return body


def escape(text: str) -> str:
    """A text in which Discord finds no Markdown but its web links."""
    return "".join(f"<{each}>" if is_link else _escape_words(each) for each, is_link in split_links(text))


def _escape_words(text: str) -> str:
    return _AT_LINE_START.sub(r"\1\\", _MARKS.sub(r"\\\1", text))
