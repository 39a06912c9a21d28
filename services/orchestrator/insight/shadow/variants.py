"""Shadow variants: the catalogue as it would be if one version in shadow were active. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from schemas.event import Event
from services.orchestrator.insight.shadow.observations import ShadowVersion
from services.orchestrator.policy.compiled_policy import CompiledPolicy
from services.orchestrator.policy.match import Catalogue, TriggeredCampaign, match_campaigns


@dataclass(frozen=True, slots=True)
class ShadowVariant:
    """The live catalogue with one version of the policy, of a campaign, or both replaced.

    `own_catalogue` holds only the campaign. `has_live`: whether there is a live version to compare with.
    """

    shadow: ShadowVersion
    policy: CompiledPolicy | None
    key: str | None
    own_catalogue: Catalogue
    has_live: bool

    def covers(self, campaign: str) -> bool:
        """Whether decisions about the campaign are observed in this variant."""
        return self.key is None or self.key == campaign

    def match_triggered(
        self, live: Sequence[TriggeredCampaign], event: Event, data: Mapping[str, Any], customer: Mapping[str, Any]
    ) -> tuple[TriggeredCampaign, ...]:
        """Returns what the event triggers in this variant; `live`: what it triggered live."""
        if self.key is None:
            return tuple(live)
        others = [match for match in live if match.campaign.key != self.key]
        return (*others, *match_campaigns(event, data, customer, self.own_catalogue))


def build_variants(catalogue: Catalogue) -> tuple[ShadowVariant, ...]:
    """Builds one variant per version in shadow, and one per campaign in shadow under the policy in shadow."""
    if catalogue.shadows is None:
        return ()
    policy, variants = catalogue.shadows.policy, list[ShadowVariant]()
    policy_shadow = None if policy is None else ShadowVersion("policy", "policy", policy.version)
    if policy_shadow is not None:
        variants.append(
            ShadowVariant(
                policy_shadow, policy, None, Catalogue({}, catalogue.policy, catalogue.configured_channels), True
            )
        )
    for key, campaign in catalogue.shadows.campaigns.items():
        own_catalogue = Catalogue({key: campaign}, catalogue.policy, catalogue.configured_channels)
        live = catalogue.campaigns.get(key)
        campaign_shadow = ShadowVersion("campaign", key, campaign.version)
        variants.append(ShadowVariant(campaign_shadow, None, key, own_catalogue, live is not None and live.active))
        if policy_shadow is not None:
            variants.append(ShadowVariant(policy_shadow, policy, key, own_catalogue, False))
    return tuple(variants)
