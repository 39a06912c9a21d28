"""The compiled catalogue in memory: read again only when its version in the database has changed."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import schemas.policy
from schemas.documents import DocumentError, validate_document
from schemas.vocabulary import CampaignStatus as Status
from services.condition import ConditionSyntaxError
from services.kit.db.database import Tx
from services.kit.observability import logs
from services.kit.runtime.loop_share import LoopShare
from services.orchestrator.campaigns import lifecycle, store
from services.orchestrator.campaigns.conditions import compile_situation_condition
from services.orchestrator.campaigns.store import DocumentVersion
from services.orchestrator.campaigns.stored_documents import (
    UnreadableCampaign,
    compile_active_policy,
    compile_version,
)
from services.orchestrator.delivery.channels.content import CompiledContent
from services.orchestrator.policy.compiled_campaign import CompiledCampaign
from services.orchestrator.policy.compiled_policy import CompiledPolicy, compile_policy
from services.orchestrator.policy.match import Catalogue, ShadowVersions

NO_POLICY = schemas.policy.Policy(zone="Etc/UTC")
"""The policy of version 0, in force while none is active: no caps, no quiet hours, no topics."""
_MAX_REPLACED_CONTENTS = 64


@dataclass(frozen=True, slots=True)
class _CompiledVersion:
    status: Status
    campaign: CompiledCampaign
    content: CompiledContent


@dataclass(frozen=True, slots=True)
class _LoadedCatalogue:
    version: int
    catalogue: Catalogue
    launched: dict[str, _CompiledVersion]
    in_shadow: dict[str, _CompiledVersion]


class CatalogueSnapshot:
    """The compiled catalogue of this process. `configured`: the channels that have an adapter."""

    def __init__(self, configured: frozenset[str]) -> None:
        self._configured = configured
        self._loaded: _LoadedCatalogue | None = None
        self._contents: dict[tuple[str, int], CompiledContent] = {}
        self._loop_share = LoopShare()

    async def get_catalogue(self, tx: Tx) -> Catalogue:
        """Returns the active and paused campaigns, the active policy and shadow versions, as this transaction sees
        them. Raises UnreadablePolicy.
        """
        state = await store.get_catalogue_state(tx)
        if self._loaded is None or self._loaded.version != state.version:
            self._loaded = await self._load(tx, state)
        return self._loaded.catalogue

    def get_launched_campaign(self, key: str) -> CompiledCampaign | None:
        """Returns the campaign version that is or was last active, even if stopped, as of the last `get_catalogue`."""
        launched = self._loaded and self._loaded.launched.get(key)
        return launched.campaign if launched else None

    def get_content(self, key: str, version: int) -> CompiledContent:
        """Returns the compiled content of a recently loaded version; batches in progress may need an older one.

        Raises KeyError for any other.
        """
        return self._contents[key, version]

    async def _load(self, tx: Tx, state: store.CatalogueState) -> _LoadedCatalogue:
        launched = await self._compile_changed(
            await store.list_launched_versions(tx), self._loaded.launched if self._loaded else {}
        )
        in_shadow = await self._compile_changed(
            await store.list_shadow_versions(tx), self._loaded.in_shadow if self._loaded else {}
        )
        self._replace_contents(
            {
                (key, item.campaign.version): item.content
                for items in (launched, in_shadow)
                for key, item in items.items()
            }
        )
        running = {key: item.campaign for key, item in launched.items() if item.status in lifecycle.RUNNING_STATUSES}
        shadow = await self._load_shadow_policy(tx)
        shadows = (
            ShadowVersions({key: item.campaign for key, item in in_shadow.items()}, shadow)
            if in_shadow or shadow
            else None
        )
        catalogue = Catalogue(running, await self._load_policy(tx, state.active_policy), self._configured, shadows)
        return _LoadedCatalogue(state.version, catalogue, launched, in_shadow)

    async def _compile_changed(
        self, versions: Sequence[DocumentVersion], previous: Mapping[str, _CompiledVersion]
    ) -> dict[str, _CompiledVersion]:
        compiled: dict[str, _CompiledVersion] = {}
        for version in versions:
            current = previous.get(version.key)
            if current is None or (current.campaign.version, current.status) != (version.version, version.status):
                await self._loop_share.give_turn_if_due()
                current = await asyncio.to_thread(self._compile_version, version, current)
            if current is not None:
                compiled[version.key] = current
        return compiled

    def _replace_contents(self, contents: dict[tuple[str, int], CompiledContent]) -> None:
        replaced = [item for item in self._contents.items() if item[0] not in contents]
        self._contents = dict(replaced[-_MAX_REPLACED_CONTENTS:]) | contents

    def _compile_version(self, version: DocumentVersion, previous: _CompiledVersion | None) -> _CompiledVersion | None:
        """Compiles a version, for seconds if it is large. One that can no longer be used is skipped, so that it does
        not stop the others.
        """
        same_version = previous is not None and previous.campaign.version == version.version
        try:
            compiled = compile_version(version, previous.content if previous is not None and same_version else None)
        except UnreadableCampaign as error:
            logs.log_error("campaign_unreadable", error, campaign=version.key, version=version.version)
            return None
        return _CompiledVersion(version.status, *compiled)

    async def _load_policy(self, tx: Tx, number: int | None) -> CompiledPolicy:
        if number is None:
            return compile_policy(NO_POLICY, 0)
        if self._loaded is not None and self._loaded.catalogue.policy.version == number:
            return self._loaded.catalogue.policy
        version = await store.get_policy_version(tx, number)
        assert version is not None
        return compile_active_policy(version)

    async def _load_shadow_policy(self, tx: Tx) -> CompiledPolicy | None:
        """Compiles the policy in shadow. One that can no longer be read is skipped: it must not stop live decisions."""
        version = await store.get_shadow_policy_version(tx)
        if version is None:
            return None
        previous = self._loaded.catalogue.shadows if self._loaded else None
        if previous is not None and previous.policy is not None and previous.policy.version == version.version:
            return previous.policy
        try:
            document = validate_document(schemas.policy.Policy, version.document)
            return compile_policy(document, version.version, compile_situation_condition)
        except (DocumentError, ConditionSyntaxError, ValueError) as error:
            logs.log_error("shadow_policy_unreadable", error, version=version.version)
            return None
