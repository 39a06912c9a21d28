"""A chat message as Slack's blocks.

Texts are `rich_text` and `plain_text`, in which Slack looks for no markup: neither `*bold*` nor `<!channel>` of a value
does anything. The one field with markup is `text`, which notifications and screen readers use; it is escaped.
"""

from collections.abc import Iterator
from typing import Any, Final

from services.orchestrator.delivery.adapters.chat_message import ChatMessage, split_links

MAX_HEADER: Final = 150
_STYLES: Final = {"danger": "danger"}
"""The look of the first button, by severity; else it is `primary`."""


def build_blocks(chat: ChatMessage) -> list[dict[str, Any]]:
    """Header, text, facts, image and buttons, of which only the text is always there."""
    blocks: list[dict[str, Any]] = []
    sign, text_sign = (chat.sign, "") if chat.title else ("", chat.sign)
    if chat.title:
        header = f"{sign}{chat.title}"
        if len(header) > MAX_HEADER:
            header = chat.title
        blocks.append({"type": "header", "text": _plain(header)})
    blocks.append({"type": "rich_text", "elements": [_section(_write_text(text_sign + chat.text))]})
    if chat.facts:
        blocks.append({"type": "rich_text", "elements": [_section(each) for each in map(_write_fact, chat.facts)]})
    if chat.image:
        blocks.append({"type": "image", "image_url": chat.image, "alt_text": chat.image_text or "image"})
    if chat.buttons:
        blocks.append({"type": "actions", "elements": [*_write_buttons(chat)]})
    return blocks


def build_fallback(chat: ChatMessage) -> str:
    """All words of the message as one text with escaped markup."""
    lines = [chat.title or "", chat.text, *(f"{label}: {value}" for label, value in chat.facts)]
    return chat.sign + escape("\n".join(filter(None, lines)))


def escape(text: str) -> str:
    """What Slack documents for texts with markup: links, mentions and dates all begin with `<`."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _plain(text: str) -> dict[str, Any]:
    return {"type": "plain_text", "text": text, "emoji": False}


def _section(elements: list[dict[str, Any]]) -> dict[str, Any]:
    return {"type": "rich_text_section", "elements": elements}


def _write_text(text: str) -> list[dict[str, Any]]:
    pieces = split_links(text)
    return [{"type": "link", "url": each} if is_link else {"type": "text", "text": each} for each, is_link in pieces]


def _write_fact(fact: tuple[str, str]) -> list[dict[str, Any]]:
    label, value = fact
    bold = {"type": "text", "text": f"{label}: ", "style": {"bold": True}}
    return [bold, *_write_text(f"{value}\n")]


def _write_buttons(chat: ChatMessage) -> Iterator[dict[str, Any]]:
    for number, button in enumerate(chat.buttons):
        written = {"type": "button", "text": _plain(button.label), "url": button.link, "action_id": f"link-{number}"}
        if number == 0:
            written["style"] = _STYLES.get(chat.severity or "", "primary")
        yield written
