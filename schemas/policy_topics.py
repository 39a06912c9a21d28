"""The topics of the active policy, as the preference service keeps them: part of the internal API between services."""

import msgspec


class PolicyTopicTexts(msgspec.Struct, frozen=True):
    """The texts of a topic in one language; None: as the topic itself has it."""

    name: str | None = None
    description: str | None = None
    group: str | None = None
    reason: str | None = None


class PolicyTopic(msgspec.Struct, frozen=True):
    """A topic of the active policy. A required one cannot be switched off, except with its whole channel.

    `cls`: the class of its messages; `channels`: which it may use, empty for each; `translations` by language.
    `double_opt_in`: the channels on which a consent to it must be confirmed.
    """

    key: str
    name: str
    required: bool = False
    cls: str = msgspec.field(name="class", default="marketing")
    description: str | None = None
    group: str | None = None
    channels: tuple[str, ...] = ()
    reason: str | None = None
    translations: dict[str, PolicyTopicTexts] = {}
    double_opt_in: tuple[str, ...] = ()


class PolicyTopics(msgspec.Struct, frozen=True):
    """The topics of the policy version that is about to become active."""

    policy_version: int
    topics: tuple[PolicyTopic, ...]
