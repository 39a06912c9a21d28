"""Versions of policy and campaigns in force around an instant, and who approved them.

Versions are never rewritten, so compiled ones are cached.
"""

from collections.abc import MutableMapping
from typing import Any

from schemas.times import Instant
from schemas.vocabulary import CampaignStatus as Status
from services.kit.db.database import Tx
from services.orchestrator.campaigns import store as catalogue_store
from services.orchestrator.campaigns.lifecycle import LifecycleAction
from services.orchestrator.explain import as_of
from services.orchestrator.explain.as_of import CampaignStatusChange
from services.orchestrator.policy.compiled_campaign import CompiledCampaign
from services.orchestrator.policy.compiled_policy import CompiledPolicy

MAX_CACHED = 500


class VersionHistory:
    """Compiled versions, and the log of changes as of the last `refresh`."""

    def __init__(self) -> None:
        self._policies: dict[int, CompiledPolicy] = {}
        self._campaigns: dict[tuple[str, int], CompiledCampaign | None] = {}
        self._approvals: dict[tuple[str, int], bool] = {}
        self._activations: list[tuple[Instant, int]] = []
        self._status_changes: dict[str, list[CampaignStatusChange]] = {}
        self._catalogue_version = -1

    async def refresh(self, tx: Tx) -> None:
        """Reads the logs again if the catalogue has changed."""
        version = (await catalogue_store.get_catalogue_state(tx)).version
        if version == self._catalogue_version:
            return
        log = await catalogue_store.list_log_entries(tx, "policy", catalogue_store.POLICY_KEY)
        self._activations = [(each.at, each.version or 0) for each in log if each.action == LifecycleAction.ACTIVATE]
        self._status_changes.clear()
        self._catalogue_version = version

    async def policies_around(self, tx: Tx, at: Instant, tolerance: int) -> list[CompiledPolicy]:
        """Returns the policies that may have been in force at an instant, the likeliest first. Raises LookupError,
        DocumentError.
        """
        times = (at, at - tolerance, at + tolerance)
        numbers = dict.fromkeys(next((v for a, v in reversed(self._activations) if a <= t), 0) for t in times)
        within = [version for when, version in self._activations if at - tolerance < when <= at + tolerance]
        return [await self._load_policy(tx, number) for number in dict.fromkeys((*numbers, *within))]

    async def campaigns_around(
        self, tx: Tx, key: str, version: int, at: Instant, tolerance: int
    ) -> list[CompiledCampaign]:
        """Returns the message's campaign version and those in force around an instant. Raises LookupError,
        DocumentError.
        """
        if key not in self._status_changes:
            self._status_changes[key] = await as_of.list_status_changes(tx, key)
        changes = self._status_changes[key]
        before = as_of.status_at(changes, at - tolerance)
        in_force = [*([before] if before else []), *(c for c in changes if at - tolerance < c.at <= at + tolerance)]
        numbers = dict.fromkeys((version, *(each.version for each in in_force if each.status is Status.ACTIVE)))
        campaigns = [await self._load_campaign(tx, key, number) for number in numbers]
        return [each for each in campaigns if each is not None]

    async def is_approved(self, tx: Tx, key: str, version: int | None) -> bool:
        """Whether a person other than its editor approved the version; True if it is no longer kept."""
        if version is None:
            return True
        if (key, version) not in self._approvals:
            campaign_version = await catalogue_store.get_campaign_version(tx, key, version)
            self._approvals[key, version] = campaign_version is None or campaign_version.approved_by not in (
                None,
                campaign_version.editor,
            )
            _evict_oldest(self._approvals)
        return self._approvals[key, version]

    async def _load_policy(self, tx: Tx, number: int) -> CompiledPolicy:
        if number not in self._policies:
            self._policies[number] = await as_of.load_policy(tx, number)
            _evict_oldest(self._policies)
        return self._policies[number]

    async def _load_campaign(self, tx: Tx, key: str, version: int) -> CompiledCampaign | None:
        if (key, version) not in self._campaigns:
            self._campaigns[key, version] = await as_of.load_campaign(tx, key, version, True)
            _evict_oldest(self._campaigns)
        return self._campaigns[key, version]


def _evict_oldest(cache: MutableMapping[Any, Any]) -> None:
    """Evicts the oldest entries of a full cache."""
    while len(cache) > MAX_CACHED:
        del cache[next(iter(cache))]
