"""A campaign version compiled for evaluation: conditions as callables, attributes per channel."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import schemas.campaign
from schemas.times import Instant
from schemas.vocabulary import Strategy
from services.orchestrator.policy.scope import MessageAttributes


class CompiledCondition(Protocol):
    """A compiled condition over `event` and `customer`. Raises on a type error; a missing value makes it false."""

    def __call__(self, variables: Mapping[str, Any], /) -> bool: ...

    def missing_variable(self, variables: Mapping[str, Any], /) -> str | None:
        """The variable without a value that makes the condition false, if that is why it is."""
        ...


ALL_TRAITS: Final = "*"
"""Stands for every trait, where it cannot be told before a message is made which one is read."""
CompileCondition = Callable[[str], CompiledCondition]


@dataclass(frozen=True, slots=True)
class CompiledCampaign:
    """A version of a campaign. `active` is false once it is paused or stopped. Spans are microseconds.

    `status`: that of the version, for words about a campaign that is not active; None where it is not known.
    `fallback_after`: how long a channel has to be confirmed before the next is tried; None with another strategy.
    """

    document: schemas.campaign.Campaign = field(repr=False)
    version: int
    active: bool
    key: str
    cls: str
    intent: str
    topic: str | None
    priority: int
    event_type: str
    channels: tuple[str, ...]
    sends_on_all_channels: bool
    """Whether each channel is on its own (`all`), instead of one being chosen."""
    fallback_after: int | None
    ttl: int
    reentry_once: bool
    reentry_every: int | None
    start: Instant | None
    end: Instant | None
    holdout: float
    trigger_condition: CompiledCondition | None
    audience_condition: CompiledCondition | None
    attributes_by_channel: Mapping[str, MessageAttributes]
    status: str | None = None
    traits: frozenset[str] = frozenset()
    """Names of the traits that its content and conditions read; `ALL_TRAITS` where they may read any."""

    def may_read(self, traits: frozenset[str]) -> bool:
        """Whether the campaign reads one of these traits, or may do so."""
        return bool(traits) and (ALL_TRAITS in self.traits or not self.traits.isdisjoint(traits))


def compile_campaign(
    document: schemas.campaign.Campaign,
    version: int,
    active: bool,
    compile_condition: CompileCondition,
    status: str | None = None,
    *,
    traits: frozenset[str],
) -> CompiledCampaign:
    """The document with its conditions compiled; `traits`: which it reads. Raises what `compile_condition` raises."""
    channels = tuple(channel.value for channel in document.channels)
    cls, intent = document.class_.value, document.intent.value
    when, audience = document.trigger.when, document.audience
    return CompiledCampaign(
        document=document,
        version=version,
        active=active,
        key=document.key,
        cls=cls,
        intent=intent,
        topic=document.topic,
        priority=document.priority,
        event_type=document.trigger.event,
        channels=channels,
        sends_on_all_channels=document.strategy is Strategy.ALL,
        fallback_after=document.fallback_after if document.strategy is Strategy.FALLBACK else None,
        ttl=document.ttl,
        reentry_once=document.reentry == "once",
        reentry_every=document.reentry_interval,
        start=document.start,
        end=document.end,
        holdout=document.holdout,
        trigger_condition=None if when is None else compile_condition(when),
        audience_condition=None if audience is None else compile_condition(audience),
        attributes_by_channel={
            channel: MessageAttributes(document.key, document.topic, channel, cls, intent) for channel in channels
        },
        status=status,
        traits=traits,
    )
