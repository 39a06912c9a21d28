"""Finds the campaigns that an event triggers, and holds the catalogue they are looked up in."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Any

import msgspec

from schemas.event import Event
from schemas.facts import Preference
from schemas.ids import compute_message_id, hash_event
from schemas.own_events import AGENT_MESSAGE
from schemas.times import Instant
from services.orchestrator.policy.cached_attribute import cached_attribute
from services.orchestrator.policy.compiled_campaign import CompiledCampaign
from services.orchestrator.policy.compiled_policy import CompiledPolicy
from services.orchestrator.policy.fallback_progress import FallbackProgress
from services.orchestrator.policy.steps import Steps, finish
from services.orchestrator.policy.verdicts import failure_evidence


class AudienceResult(msgspec.Struct, frozen=True):
    """What a campaign's audience condition is for one event and its customer.

    `missing_variable`: the variable without a value that made it false, if that is why it is. `error`: what it raised.
    """

    matches: bool
    missing_variable: str | None = None
    error: Exception | None = None


IN_AUDIENCE = AudienceResult(True)
_NO_INSTANTS: Mapping[str, Instant] = MappingProxyType({})


class TriggeredCampaign(msgspec.Struct, frozen=True, dict=True):
    """One campaign triggered by one event.

    `channels`: those to evaluate. `first_planned`: when it was first planned, None for a new one;
    `first_planned_by_channel` is the same per message of a campaign that sends on all its channels.
    `condition_failure`: the trigger's condition could not be evaluated, with what is kept about it.
    `audience`: the value of the audience condition, where it was evaluated with the trigger's; see `find_audience`.
    `progress`: which channels were tried before, for a stored message of a campaign that falls back.
    """

    event: Event
    data: Mapping[str, Any]
    campaign: CompiledCampaign
    first_planned: Instant | None = None
    first_planned_by_channel: Mapping[str, Instant] = _NO_INSTANTS
    channels: tuple[str, ...] = ()
    condition_failure: Mapping[str, Any] | None = None
    audience: AudienceResult | None = None
    progress: FallbackProgress | None = None

    @property
    def falls_back(self) -> bool:
        """Whether its channels are tried one after the other: now, or when the first of them was tried."""
        return self.campaign.fallback_after is not None or (self.progress is not None and bool(self.progress.tried))

    @cached_attribute
    def event_hash(self) -> int:
        """The event's hash, as the ledger stores it."""
        return hash_event(self.event.source, self.event.id)

    @property
    def expires_at(self) -> Instant:
        """When the message expires: the campaign's `ttl` or the event's `expirytime`, whichever is earlier."""
        ttl_ends = self.event.time + self.campaign.ttl
        return ttl_ends if self.event.expirytime is None else min(ttl_ends, self.event.expirytime)

    @cached_attribute
    def _message_ids(self) -> dict[str, str]:
        return {}

    def message_id(self, channel: str) -> str:
        """Returns the id of the message on a channel. It is a hash of event, campaign and channel."""
        found = self._message_ids.get(channel)
        if found is None:
            event = self.event
            found = compute_message_id(event.subject, event.source, event.id, self.campaign.key, channel)
            self._message_ids[channel] = found
        return found

    def first_planned_on(self, channel: str) -> Instant | None:
        """Returns when the message on a channel was first planned: its seniority."""
        return (
            self.first_planned_by_channel.get(channel, self.first_planned)
            if self.campaign.sends_on_all_channels
            else self.first_planned
        )


@dataclass(frozen=True)
class ShadowVersions:
    """Versions in shadow, evaluated beside the live ones without effect: at most one per campaign, and one policy."""

    campaigns: Mapping[str, CompiledCampaign]
    policy: CompiledPolicy | None = None

    @cached_property
    def event_types(self) -> frozenset[str]:
        """The event types that trigger these campaigns."""
        return frozenset(campaign.event_type for campaign in self.campaigns.values())


@dataclass(frozen=True)
class Catalogue:
    """The active and paused campaigns, the active policy, the channels that have an adapter, and versions in shadow."""

    campaigns: Mapping[str, CompiledCampaign]
    policy: CompiledPolicy
    configured_channels: frozenset[str]
    shadows: ShadowVersions | None = None

    @cached_property
    def by_event(self) -> Mapping[str, tuple[CompiledCampaign, ...]]:
        """Campaigns by the event type that triggers them."""
        found: dict[str, tuple[CompiledCampaign, ...]] = {}
        for campaign in self.campaigns.values():
            found[campaign.event_type] = (*found.get(campaign.event_type, ()), campaign)
        return found

    @cached_property
    def falling_back(self) -> frozenset[str]:
        """The keys of the campaigns that try one channel after the other."""
        return frozenset(key for key, campaign in self.campaigns.items() if campaign.fallback_after is not None)

    def is_triggered_by(self, event_type: str) -> bool:
        """Whether any campaign, live or in shadow, is triggered by events of this type."""
        return event_type in self.by_event or (self.shadows is not None and event_type in self.shadows.event_types)


def customer_variables(preference: Preference) -> dict[str, Any]:
    """Returns the variable `customer` of conditions."""
    return {
        "id": preference.customer,
        "traits": msgspec.json.decode(preference.traits),
        "locale": preference.locale,
        "country": preference.country,
        "zone": preference.zone,
    }


def condition_variables(event: Event, data: Mapping[str, Any], customer: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the variables of conditions."""
    return {"event": {"type": event.type, "time": event.time, "data": data}, "customer": customer}


def match_campaigns(
    event: Event, data: Mapping[str, Any], customer: Mapping[str, Any], catalogue: Catalogue
) -> list[TriggeredCampaign]:
    """Returns a triggered campaign for each campaign whose trigger condition the event fulfils.

    `customer`: see `customer_variables`. A trigger condition that cannot be evaluated sets `condition_failure` in the
    result, so that the failure becomes a decision instead of a silent skip.
    """
    return finish(match_in_steps(event, data, customer, catalogue, with_audience=False))


def match_in_steps(
    event: Event, data: Mapping[str, Any], customer: Mapping[str, Any], catalogue: Catalogue, *, with_audience: bool
) -> Steps[list[TriggeredCampaign]]:
    """Like `match_campaigns`, a campaign a step. `with_audience`: its audience condition is evaluated in the same step.

    Each condition has a limit of its own; hundreds of campaigns on one event add theirs up.
    """
    triggered: list[TriggeredCampaign] = []
    values: dict[str, Any] | None = None
    for campaign in catalogue.by_event.get(event.type, ()):
        if event.type == AGENT_MESSAGE and data.get("campaign") != campaign.key:
            continue
        condition_failure: Mapping[str, Any] | None = None
        if campaign.trigger_condition is not None:
            yield
            values = values or condition_variables(event, data, customer)
            try:
                if campaign.trigger_condition(values) is not True:
                    continue
            except Exception as error:  # whatever a condition raises is a condition that cannot be evaluated
                condition_failure = failure_evidence(error)
        audience: AudienceResult | None = None
        if with_audience and campaign.audience_condition is not None and condition_failure is None:
            yield
            audience = find_audience(campaign, event, data, customer)
        triggered.append(
            TriggeredCampaign(
                event,
                data,
                campaign,
                channels=campaign.channels,
                condition_failure=condition_failure,
                audience=audience,
            )
        )
    return triggered


def find_audience(
    campaign: CompiledCampaign, event: Event, data: Mapping[str, Any], customer: Mapping[str, Any]
) -> AudienceResult:
    """Evaluates the campaign's audience condition. `customer`: see `customer_variables`. Raises nothing."""
    condition = campaign.audience_condition
    if condition is None:
        return IN_AUDIENCE
    variables = condition_variables(event, data, customer)
    try:
        if condition(variables):
            return IN_AUDIENCE
    except Exception as error:  # whatever a condition raises is a condition that cannot be evaluated
        return AudienceResult(False, error=error)
    return AudienceResult(False, condition.missing_variable(variables))
