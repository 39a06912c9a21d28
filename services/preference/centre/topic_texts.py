"""The topics of the policy in a language: what a translation lacks is shown as the topic itself has it. Pure."""

from collections.abc import Sequence
from typing import NamedTuple

from schemas.policy_topics import PolicyTopic, PolicyTopicTexts
from services.preference.centre.languages import PageLanguage

_NO_TEXTS = PolicyTopicTexts()


class ShownTopic(NamedTuple):
    """A topic as a page shows it."""

    topic: PolicyTopic
    name: str
    description: str | None
    group: str | None
    reason: str | None


def show_topics(topics: Sequence[PolicyTopic], language: PageLanguage) -> list[ShownTopic]:
    """The topics, with their texts in the language."""
    return [_show(topic, topic.translations.get(language.code, _NO_TEXTS)) for topic in topics]


def _show(topic: PolicyTopic, texts: PolicyTopicTexts) -> ShownTopic:
    return ShownTopic(
        topic,
        texts.name or topic.name,
        texts.description or topic.description,
        texts.group or topic.group,
        texts.reason or topic.reason,
    )
