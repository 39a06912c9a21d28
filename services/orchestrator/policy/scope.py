"""Message attributes and scopes: which messages a policy entry, hold or opt-out covers."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol

from schemas.vocabulary import CHANNELS_OUTSIDE_GENERAL_CAPS, Class

DEFAULT_CLASSES = frozenset({Class.SERVICE.value, Class.MARKETING.value})
ALL_CLASSES = frozenset(cls.value for cls in Class)


class MessageAttributes(NamedTuple):
    """The attributes of a candidate or contact that scopes match on; frozen when a contact is planned."""

    campaign: str
    topic: str | None
    channel: str
    cls: str
    intent: str | None


class ScopeFields(Protocol):
    """The fields of a scope as documents and facts have them; an absent field is None."""

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


def _as_strings(values: Iterable[str] | None) -> frozenset[str] | None:
    return None if values is None else frozenset(str(value) for value in values)


@dataclass(frozen=True, slots=True)
class CompiledScope:
    """A scope with sets for look-up. None matches everything; `excluded_channels` never match."""

    channels: frozenset[str] | None = None
    topics: frozenset[str] | None = None
    classes: frozenset[str] = DEFAULT_CLASSES
    intents: frozenset[str] | None = None
    campaigns: frozenset[str] | None = None
    excluded_channels: frozenset[str] = frozenset()

    @classmethod
    def from_fields(cls, fields: ScopeFields) -> "CompiledScope":
        """Compiles a scope. Absent classes mean service and marketing."""
        return cls(
            _as_strings(fields.channels),
            _as_strings(fields.topics),
            DEFAULT_CLASSES if fields.classes is None else frozenset(str(name) for name in fields.classes),
            _as_strings(fields.intents),
            _as_strings(fields.campaigns),
        )

    def for_cap(self) -> "CompiledScope":
        """Returns the scope of a cap; naming no channels, it excludes those that count only where they are named."""
        if self.channels is not None:
            return self
        return replace(self, excluded_channels=CHANNELS_OUTSIDE_GENERAL_CAPS)

    def covers(self, attributes: MessageAttributes) -> bool:
        """Whether a message with these attributes is in scope."""
        return (
            attributes.cls in self.classes
            and (self.channels is None or attributes.channel in self.channels)
            and (self.topics is None or attributes.topic in self.topics)
            and (self.intents is None or attributes.intent in self.intents)
            and (self.campaigns is None or attributes.campaign in self.campaigns)
            and attributes.channel not in self.excluded_channels
        )
