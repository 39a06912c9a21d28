"""A chat message or a post as the adapters of chat programs read it from a message's content."""

import json
import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from schemas.message import Message

_WEB_LINK: Final = re.compile(r"https?://[^\s<>\"]+")
SEVERITY_SIGNS: Final = {"info": "\u2139\ufe0f", "success": "\u2705", "warning": "\u26a0\ufe0f", "danger": "\U0001f6a8"}
"""What stands before the first line where a program has no colours."""


class UnreadableChat(ValueError):
    """The content has no text, or its facts are no JSON object of texts. Its text is the detail of the result."""


class ChatButton(NamedTuple):
    """A button that opens a link."""

    label: str
    link: str


class ChatMessage(NamedTuple):
    """What people read. `facts`: pairs of a label and a value."""

    text: str
    title: str | None
    facts: tuple[tuple[str, str], ...]
    buttons: tuple[ChatButton, ...]
    severity: str | None
    image: str | None
    image_text: str

    @property
    def sign(self) -> str:
        """What its severity is written as, with a blank behind it; empty without one."""
        return f"{SEVERITY_SIGNS[self.severity]} " if self.severity in SEVERITY_SIGNS else ""


def read_chat(message: Message) -> ChatMessage:
    """What a message says. Raises UnreadableChat, also for half of a surrogate pair."""
    content = message.content
    if not content.get("text"):
        raise UnreadableChat("incomplete_content")
    try:
        facts = json.loads(content.get("facts", "{}"))
        "".join(content.values()).encode()
    except UnicodeEncodeError:
        raise UnreadableChat("not_unicode") from None
    except (ValueError, RecursionError):
        raise UnreadableChat("unreadable_content") from None
    if not isinstance(facts, dict) or not all(isinstance(each, str) for each in facts.values()):
        raise UnreadableChat("unreadable_content")
    names = (("button", "link"), ("second_button", "second_link"))
    buttons = [ChatButton(content[label], content[link]) for label, link in names if {label, link} <= content.keys()]
    return ChatMessage(
        content["text"],
        content.get("title") or None,
        tuple(facts.items()),
        tuple(buttons),
        content.get("severity"),
        content.get("image") or None,
        content.get("image_text", ""),
    )


def split_links(text: str) -> Iterator[tuple[str, bool]]:
    """The pieces of a text, each with whether it is a web link. A dot or bracket at its end belongs to the text."""
    last = 0
    for found in _WEB_LINK.finditer(text):
        link = found[0].rstrip(".,;:!?)]}'")
        if found.start() > last:
            yield text[last : found.start()], False
        yield link, True
        last = found.start() + len(link)
    if last < len(text):
        yield text[last:], False
