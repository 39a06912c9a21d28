"""A chat message as an Adaptive Card of version 1.4.

Texts are runs of a RichTextBlock, in which no Markdown and no `{{DATE(...)}}` is looked for, so nothing is escaped.
"""

from typing import Any, Final

from services.orchestrator.delivery.adapters.chat_message import ChatMessage

STYLES: Final = {"info": "accent", "success": "good", "warning": "warning", "danger": "attention"}
"""The look of the container that holds the card, by severity."""


def build_card(chat: ChatMessage, message_id: str) -> dict[str, Any]:
    """Title, text, facts and image in one container, which has our message id, and the buttons below it."""
    items: list[dict[str, Any]] = []
    if chat.title:
        items.append(_block([{**_run(chat.title), "weight": "bolder", "size": "large"}]))
    items += [_block([_run(line)]) for line in chat.text.split("\n") if line.strip()]
    items += [_block([{**_run(f"{label}: "), "weight": "bolder"}, _run(value)]) for label, value in chat.facts]
    if chat.image:
        items.append({"type": "Image", "url": chat.image, "altText": chat.image_text or "image"})
    container: dict[str, Any] = {"type": "Container", "id": message_id, "items": items}
    if chat.severity in STYLES:
        container |= {"style": STYLES[chat.severity], "bleed": True}
    card: dict[str, Any] = {
        "type": "AdaptiveCard",
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "version": "1.4",
        "body": [container],
        "msteams": {"width": "Full"},
    }
    if chat.buttons:
        card["actions"] = [{"type": "Action.OpenUrl", "title": each.label, "url": each.link} for each in chat.buttons]
    return card


def _block(runs: list[dict[str, Any]]) -> dict[str, Any]:
    return {"type": "RichTextBlock", "inlines": runs}


def _run(text: str) -> dict[str, Any]:
    return {"type": "TextRun", "text": text}
