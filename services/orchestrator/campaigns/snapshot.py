"""The catalogue as deciding sees it: compiled once, read again only when its version has changed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import schemas.campaign
import schemas.policy
from schemas.documents import DocumentError, validate
from schemas.vocabulary import CampaignStatus as Status
from services.condition import ConditionSyntaxError
from services.kit.db.database import Tx
from services.kit.observability import logs
from services.orchestrator.campaigns import lifecycle, store
from services.orchestrator.campaigns.conditions import campaign_condition, situation_condition
from services.orchestrator.campaigns.store import Version
from services.orchestrator.delivery.channels.content import Content, compile_content
from services.orchestrator.policy.compiled_campaign import Campaign, compile_campaign
from services.orchestrator.policy.compiled_policy import Policy, compile_policy
from services.orchestrator.policy.match import Catalogue, Shadows

NO_POLICY = schemas.policy.Policy(zone="Etc/UTC")
"""What holds while no policy is active, as version 0: no caps, no quiet hours, no topics."""
_KEPT_REPLACED = 64


@dataclass(frozen=True, slots=True)
class _Launched:
    status: Status
    campaign: Campaign
    content: Content


@dataclass(frozen=True, slots=True)
class _Loaded:
    version: int
    catalogue: Catalogue
    launched: dict[str, _Launched]
    shadowed: dict[str, _Launched]


class Snapshot:
    """What is active now. `configured`: the channels that can send. One for each process."""

    def __init__(self, configured: frozenset[str]) -> None:
        self._configured = configured
        self._loaded: _Loaded | None = None
        self._contents: dict[tuple[str, int], Content] = {}

    async def current(self, tx: Tx) -> Catalogue:
        """The active and paused campaigns, the active policy and what is in shadow, as this transaction sees them."""
        state = await store.state(tx)
        if self._loaded is None or self._loaded.version != state.version:
            self._loaded = await self._load(tx, state)
        return self._loaded.catalogue

    def campaign(self, key: str) -> Campaign | None:
        """The campaign that runs or ran last, also when it was stopped, as of the last `current`."""
        found = self._loaded and self._loaded.launched.get(key)
        return found.campaign if found else None

    def content(self, key: str, version: int) -> Content:
        """The compiled content of a version that `current` named, lately if not last: batches under way still need it.

        Raises KeyError for any other.
        """
        return self._contents[key, version]

    async def _load(self, tx: Tx, state: store.State) -> _Loaded:
        launched = self._ready(await store.launched(tx), self._loaded.launched if self._loaded else {})
        shadowed = self._ready(await store.in_shadow(tx), self._loaded.shadowed if self._loaded else {})
        self._keep(
            {
                (key, item.campaign.version): item.content
                for items in (launched, shadowed)
                for key, item in items.items()
            }
        )
        running = {key: item.campaign for key, item in launched.items() if item.status in lifecycle.RUNNING}
        shadow = await self._shadow_policy(tx)
        shadows = (
            Shadows({key: item.campaign for key, item in shadowed.items()}, shadow) if shadowed or shadow else None
        )
        catalogue = Catalogue(running, await self._policy(tx, state.active_policy), self._configured, shadows)
        return _Loaded(state.version, catalogue, launched, shadowed)

    def _ready(self, versions: Sequence[Version], former: Mapping[str, _Launched]) -> dict[str, _Launched]:
        ready: dict[str, _Launched] = {}
        for version in versions:
            found = former.get(version.key)
            if found is None or (found.campaign.version, found.status) != (version.version, version.status):
                found = self._compiled(version, found)
            if found is not None:
                ready[version.key] = found
        return ready

    def _keep(self, contents: dict[tuple[str, int], Content]) -> None:
        replaced = [item for item in self._contents.items() if item[0] not in contents]
        self._contents = dict(replaced[-_KEPT_REPLACED:]) | contents

    def _compiled(self, version: Version, former: _Launched | None) -> _Launched | None:
        """The version ready for use. One that cannot be read any more is left out, so that it stops nobody else."""
        active = version.status in (Status.ACTIVE, Status.SHADOW)
        try:
            document = validate(schemas.campaign.Campaign, version.document)
            campaign = compile_campaign(document, version.version, active, campaign_condition)
            same = former is not None and former.campaign.version == version.version
            content = former.content if former is not None and same else compile_content(document)
        except (DocumentError, ConditionSyntaxError, ValueError) as error:
            logs.log_error("campaign_unreadable", error, campaign=version.key, version=version.version)
            return None
        return _Launched(version.status, campaign, content)

    async def _policy(self, tx: Tx, number: int | None) -> Policy:
        if number is None:
            return compile_policy(NO_POLICY, 0)
        if self._loaded is not None and self._loaded.catalogue.policy.version == number:
            return self._loaded.catalogue.policy
        version = await store.policy_version(tx, number)
        assert version is not None
        return compile_policy(validate(schemas.policy.Policy, version.document), number, situation_condition)

    async def _shadow_policy(self, tx: Tx) -> Policy | None:
        """The policy in shadow. One that cannot be read any more is left out: it must not stop what is live."""
        version = await store.policy_in_shadow(tx)
        if version is None:
            return None
        former = self._loaded.catalogue.shadows if self._loaded else None
        if former is not None and former.policy is not None and former.policy.version == version.version:
            return former.policy
        try:
            document = validate(schemas.policy.Policy, version.document)
            return compile_policy(document, version.version, situation_condition)
        except (DocumentError, ConditionSyntaxError, ValueError) as error:
            logs.log_error("shadow_policy_unreadable", error, version=version.version)
            return None
