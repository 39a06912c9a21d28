"""What a message is, as rules tell messages apart, and which of them a rule covers."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from schemas.vocabulary import Channel, Class

BY_DEFAULT = frozenset({Class.SERVICE.value, Class.MARKETING.value})
ALL_CLASSES = frozenset(cls.value for cls in Class)


class Kind(NamedTuple):
    """The attributes of a candidate or contact that scopes look at; frozen when a contact is planned."""

    campaign: str
    topic: str | None
    channel: str
    cls: str
    intent: str | None


class ScopeFields(Protocol):
    """A scope as documents and facts write it: an absent field is None."""

    @property
    def channels(self) -> Iterable[str] | None: ...
    @property
    def topics(self) -> Iterable[str] | None: ...
    @property
    def classes(self) -> Iterable[str] | None: ...
    @property
    def intents(self) -> Iterable[str] | None: ...
    @property
    def campaigns(self) -> Iterable[str] | None: ...


def _words(values: Iterable[str] | None) -> frozenset[str] | None:
    return None if values is None else frozenset(str(value) for value in values)


@dataclass(frozen=True, slots=True)
class Scope:
    """None matches all; `without` names a channel that is left out all the same."""

    channels: frozenset[str] | None = None
    topics: frozenset[str] | None = None
    classes: frozenset[str] = BY_DEFAULT
    intents: frozenset[str] | None = None
    campaigns: frozenset[str] | None = None
    without: str | None = None

    @classmethod
    def of(cls, written: ScopeFields) -> "Scope":
        """The scope as written; absent classes are service and marketing."""
        return cls(
            _words(written.channels),
            _words(written.topics),
            BY_DEFAULT if written.classes is None else frozenset(str(name) for name in written.classes),
            _words(written.intents),
            _words(written.campaigns),
        )

    def of_a_cap(self) -> "Scope":
        """A cap that does not name `in_app` neither counts nor concerns it."""
        if self.channels is not None:
            return self
        return Scope(self.channels, self.topics, self.classes, self.intents, self.campaigns, Channel.IN_APP.value)

    def covers(self, kind: Kind) -> bool:
        """Whether every field matches."""
        return (
            kind.cls in self.classes
            and (self.channels is None or kind.channel in self.channels)
            and (self.topics is None or kind.topic in self.topics)
            and (self.intents is None or kind.intent in self.intents)
            and (self.campaigns is None or kind.campaign in self.campaigns)
            and kind.channel != self.without
        )
