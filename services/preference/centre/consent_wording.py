"""The words by which a customer consents on a page: exactly those that stand there. Pure.

A consent record has their key, a hash, so that it can be shown later what the customer has agreed to.
"""

import hashlib
from collections.abc import Sequence
from typing import Final, NamedTuple

from services.preference.centre.languages import PageLanguage
from services.preference.centre.topic_texts import ShownTopic

TICKED_BOX: Final = (
    "A ticked box says: yes, write to me about this topic in this way. I can take that back here at any time."
)
"""The sentence above the boxes."""


class ConsentWording(NamedTuple):
    """A text that somebody has agreed to. `key` identifies it: the same text has the same key everywhere."""

    key: str
    text: str
    locale: str


def word_ticked_box(language: PageLanguage, topic: ShownTopic, channel: str) -> ConsentWording:
    """The words of one box of the preference centre: the sentence above it, the topic, and the channel."""
    about = topic.name if topic.description is None else f"{topic.name}: {topic.description}"
    return _wording(language, [language.text(TICKED_BOX), about, language.channel(channel)])


def word_way_back(language: PageLanguage, sentence: str) -> ConsentWording:
    """The words of the button that takes an unsubscription back."""
    return _wording(language, [sentence])


def _wording(language: PageLanguage, lines: Sequence[str]) -> ConsentWording:
    text = "\n".join(lines)
    return ConsentWording(f"sha256:{hashlib.sha256(text.encode()).hexdigest()}", text, language.code)
