"""What would be in force if one version in shadow were active: a world to judge in. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from schemas.event import Event
from services.orchestrator.insight.shadow.observations import Watched
from services.orchestrator.policy.compiled_policy import CompiledPolicy
from services.orchestrator.policy.match import Catalogue, TriggeredCampaign, match_campaigns


@dataclass(frozen=True, slots=True)
class World:
    """The live catalogue but for one version of the policy, one of a campaign, or both.

    `alone` holds the campaign alone. `compared`: there is something live to agree with.
    """

    watched: Watched
    policy: CompiledPolicy | None
    key: str | None
    alone: Catalogue
    compared: bool

    def concerns(self, campaign: str) -> bool:
        """Whether decisions about the campaign are noted here."""
        return self.key is None or self.key == campaign

    def touches(
        self, live: Sequence[TriggeredCampaign], event: Event, data: Mapping[str, Any], customer: Mapping[str, Any]
    ) -> tuple[TriggeredCampaign, ...]:
        """What the event triggers here; `live`: what it triggered."""
        if self.key is None:
            return tuple(live)
        others = [touch for touch in live if touch.campaign.key != self.key]
        return (*others, *match_campaigns(event, data, customer, self.alone))


def worlds(catalogue: Catalogue) -> tuple[World, ...]:
    """One world for each version in shadow, and one for each campaign in shadow under the policy in shadow."""
    if catalogue.shadows is None:
        return ()
    policy, found = catalogue.shadows.policy, list[World]()
    watched = None if policy is None else Watched("policy", "policy", policy.version)
    if watched is not None:
        found.append(World(watched, policy, None, Catalogue({}, catalogue.policy, catalogue.configured_channels), True))
    for key, campaign in catalogue.shadows.campaigns.items():
        alone = Catalogue({key: campaign}, catalogue.policy, catalogue.configured_channels)
        live = catalogue.campaigns.get(key)
        own = Watched("campaign", key, campaign.version)
        found.append(World(own, None, key, alone, live is not None and live.active))
        if watched is not None:
            found.append(World(watched, policy, key, alone, False))
    return tuple(found)
