"""What a version in shadow would have done, over HTTP: how often, how far it agrees with what is live, and samples."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query

from schemas.decision import to_document
from schemas.times import format_instant
from schemas.vocabulary import CampaignStatus as Status
from services.kit.db.database import Database, Tx
from services.kit.errors import NotFound
from services.kit.http.auth import Principal, requires
from services.kit.http.paging import DEFAULT_LIMIT, After, Limit, decode_cursor, encode_cursor, page
from services.orchestrator.campaigns import store as catalogue
from services.orchestrator.campaigns.api import CampaignKey, Number
from services.orchestrator.campaigns.api_common import time_of
from services.orchestrator.campaigns.store import Version
from services.orchestrator.insight.shadow import store
from services.orchestrator.insight.shadow.observations import SKIPPED, Watched
from services.orchestrator.insight.shadow.store import Counted, Sample

Agrees = Annotated[
    Literal["yes", "no", "unknown"] | None, Query(description="Samples of one kind; `unknown`: nothing to agree with")
]
_KINDS = {"yes": [1], "no": [0], "unknown": [-1], None: [1, 0, -1]}
_LAST = 2**63 - 1


def router(database: Database) -> APIRouter:
    """The routes that show what versions in shadow decided."""
    routes = APIRouter(prefix="/v1", tags=["shadow"])

    @routes.get("/campaigns/{key}/shadow", summary="What a version of a campaign decided in shadow, with samples")
    async def of_campaign(
        key: CampaignKey,
        version: Annotated[int | None, Query(ge=1, le=2**31 - 1, description="[the newest that was in shadow]")] = None,
        agrees: Agrees = None,
        limit: Limit = DEFAULT_LIMIT,
        after: After = None,
        _: Principal = requires("decisions:read"),
    ) -> dict[str, Any]:
        async with database.read() as tx:
            number = version if version is not None else await _newest(tx, key)
            found = None if number is None else await catalogue.campaign_version(tx, key, number)
            if found is None:
                raise NotFound(f"no version of a campaign `{key}` was in shadow, or not this one")
            return await _shown(tx, "campaign", found, agrees, limit, after)

    @routes.get("/policy/versions/{number}/shadow", summary="What a version of the policy decided in shadow")
    async def of_policy(
        number: Number,
        agrees: Agrees = None,
        limit: Limit = DEFAULT_LIMIT,
        after: After = None,
        _: Principal = requires("decisions:read"),
    ) -> dict[str, Any]:
        async with database.read() as tx:
            found = await catalogue.policy_version(tx, number)
            if found is None:
                raise NotFound(f"the policy has no version {number}")
            return await _shown(tx, "policy", found, agrees, limit, after)

    return routes


async def _newest(tx: Tx, key: str) -> int | None:
    head = await catalogue.head(tx, key)
    newest = None if head is None else await catalogue.campaign_version(tx, key, head.newest)
    if newest is not None and newest.status is Status.SHADOW:
        return newest.version
    return await store.newest(tx, "campaign", key)


async def _shown(
    tx: Tx, noun: Literal["campaign", "policy"], version: Version, agrees: str | None, limit: int, after: str | None
) -> dict[str, Any]:
    watched = Watched(noun, version.key, version.version)
    before = decode_cursor(after, int) if after else _LAST
    found = await store.samples(tx, watched, _KINDS[agrees], before, limit + 1)
    more = encode_cursor(found[limit - 1].sample_id) if len(found) > limit else None
    key = {"key": version.key} if noun == "campaign" else {}
    return {
        **key,
        "version": version.version,
        "status": version.status,
        **await _span(tx, watched),
        **_totals(await store.counted(tx, watched)),
        **page([_sample(sample) for sample in found[:limit]], more),
    }


async def _span(tx: Tx, watched: Watched) -> dict[str, str | None]:
    """When the version went into shadow for the last time, and when it left again."""
    began = ended = None
    for change in await catalogue.log_of(tx, watched.noun, watched.key):
        if change.version == watched.version and change.after == Status.SHADOW:
            began, ended = change.at, None
        elif change.version == watched.version and change.before == Status.SHADOW:
            ended = change.at
    return {"from": time_of(began), "until": time_of(ended)}


def _totals(counted: Sequence[Counted]) -> dict[str, Any]:
    decided = [each for each in counted if each.outcome != SKIPPED]
    compared = sum(each.number for each in decided if each.live)
    agreed = sum(each.number for each in decided if each.live == each.outcome)
    return {
        "decisions": sum(each.number for each in decided),
        "compared": compared,
        "agreed": agreed,
        "agreement": round(agreed / compared, 6) if compared else None,
        "skipped_events": {each.reason: each.number for each in counted if each.outcome == SKIPPED},
        "table": [
            {
                "campaign": each.campaign,
                "outcome": each.outcome,
                "reason": each.reason or None,
                "live": each.live or None,
                "count": each.number,
            }
            for each in decided
        ],
    }


def _sample(sample: Sample) -> dict[str, Any]:
    live = {"outcome": sample.live_outcome, "reason": sample.live_reason, "decision_id": sample.live_id}
    return {
        "time": format_instant(sample.time),
        "agrees": sample.agrees,
        "customer": sample.customer,
        "campaign": sample.campaign,
        "channel": sample.channel,
        "message_id": sample.message_id,
        "live": None if sample.live_outcome is None else live,
        "shadow": None if sample.decision is None else to_document(sample.decision, "full"),
    }
