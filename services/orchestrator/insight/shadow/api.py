"""HTTP API of shadow versions: what they would have decided, how far they agree with the live ones, and samples."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal, NotRequired

from fastapi import APIRouter, Query
from typing_extensions import TypedDict

from schemas.decision import to_document
from schemas.times import format_instant
from schemas.vocabulary import CampaignStatus as Status
from schemas.vocabulary import Channel, Outcome
from services.kit import errors
from services.kit.db.database import Database, Tx
from services.kit.errors import NotFound
from services.kit.http.answer_types import TimeText
from services.kit.http.auth import Principal, requires
from services.kit.http.openapi import answers, document_schema
from services.kit.http.paging import DEFAULT_LIMIT, PageCursor, PageLimit, decode_cursor, encode_cursor, to_page
from services.orchestrator.campaigns import store as catalogue_store
from services.orchestrator.campaigns.api_common import CampaignKey, VersionNumber, format_optional_instant
from services.orchestrator.campaigns.store import DocumentVersion
from services.orchestrator.insight.shadow import store
from services.orchestrator.insight.shadow.observations import SKIPPED, ShadowVersion
from services.orchestrator.insight.shadow.store import OutcomeCount, ShadowSample

ShadowOutcome = Outcome | Literal["none"]
"""`none`: no decision was made."""


class ShadowCount(TypedDict):
    """How often the version in shadow decided this, and what the live one decided meanwhile."""

    campaign: str
    outcome: ShadowOutcome
    reason: str | None
    live: ShadowOutcome | None
    count: int


class LiveDecision(TypedDict):
    """The live decision that a sample is compared with."""

    outcome: ShadowOutcome
    reason: str | None
    decision_id: int | None


class ShadowSampleFields(TypedDict):
    """One decision in shadow; `agrees` is null where there was no live decision."""

    time: TimeText
    agrees: bool | None
    customer: str
    campaign: str
    channel: Channel
    message_id: str
    live: LiveDecision | None
    shadow: Annotated[dict[str, Any], document_schema("decision")] | None


_Period = TypedDict("_Period", {"from": TimeText | None})


class ShadowReport(_Period):
    """What a version in shadow would have decided. `agreement` is a share, null where nothing was compared."""

    key: NotRequired[str]
    version: int
    status: Status
    until: TimeText | None
    decisions: int
    compared: int
    agreed: int
    agreement: float | None
    skipped_events: dict[str, int]
    table: list[ShadowCount]
    items: list[ShadowSampleFields]
    next: str | None


AgreesParam = Annotated[
    Literal["yes", "no", "unknown"] | None,
    Query(description="Only samples that agree or differ; `unknown`: there was no live decision to compare with"),
]
_AGREES_VALUES = {"yes": [1], "no": [0], "unknown": [-1], None: [1, 0, -1]}
_MAX_SAMPLE_ID = 2**63 - 1


def shadow_routes(database: Database) -> APIRouter:
    """Builds the routes that show what versions in shadow decided."""
    routes = APIRouter(prefix="/v1", tags=["shadow"])

    @routes.get(
        "/campaigns/{key}/shadow",
        summary="Shadow decisions of a campaign version, with samples",
        **answers({200: ShadowReport}, errors.NotFound),
    )
    async def get_campaign_shadow(
        key: CampaignKey,
        version: Annotated[
            int | None, Query(ge=1, le=2**31 - 1, description="Default: the newest version that was in shadow")
        ] = None,
        agrees: AgreesParam = None,
        limit: PageLimit = DEFAULT_LIMIT,
        after: PageCursor = None,
        _: Principal = requires("decisions:read", list_unless=""),
    ) -> dict[str, Any]:
        async with database.read() as tx:
            number = version if version is not None else await _newest_shadow_version(tx, key)
            stored = None if number is None else await catalogue_store.get_campaign_version(tx, key, number)
            if stored is None:
                raise NotFound(f"no version of a campaign `{key}` was in shadow, or not this one")
            return await _shadow_document(tx, "campaign", stored, agrees, limit, after)

    @routes.get(
        "/policy/versions/{number}/shadow",
        summary="Shadow decisions of a policy version, with samples",
        **answers({200: ShadowReport}, errors.NotFound),
    )
    async def get_policy_shadow(
        number: VersionNumber,
        agrees: AgreesParam = None,
        limit: PageLimit = DEFAULT_LIMIT,
        after: PageCursor = None,
        _: Principal = requires("decisions:read", list_unless=""),
    ) -> dict[str, Any]:
        async with database.read() as tx:
            stored = await catalogue_store.get_policy_version(tx, number)
            if stored is None:
                raise NotFound(f"the policy has no version {number}")
            return await _shadow_document(tx, "policy", stored, agrees, limit, after)

    return routes


async def _newest_shadow_version(tx: Tx, key: str) -> int | None:
    head = await catalogue_store.get_head(tx, key)
    newest = None if head is None else await catalogue_store.get_campaign_version(tx, key, head.newest)
    if newest is not None and newest.status is Status.SHADOW:
        return newest.version
    return await store.newest_version(tx, "campaign", key)


async def _shadow_document(
    tx: Tx,
    noun: Literal["campaign", "policy"],
    version: DocumentVersion,
    agrees: str | None,
    limit: int,
    after: str | None,
) -> dict[str, Any]:
    shadow = ShadowVersion(noun, version.key, version.version)
    before = decode_cursor(after, int) if after else _MAX_SAMPLE_ID
    samples = await store.list_samples(tx, shadow, _AGREES_VALUES[agrees], before, limit + 1)
    next_cursor = encode_cursor(samples[limit - 1].sample_id) if len(samples) > limit else None
    key = {"key": version.key} if noun == "campaign" else {}
    return {
        **key,
        "version": version.version,
        "status": version.status,
        **await _shadow_period(tx, shadow),
        **_agreement_totals(await store.list_outcome_counts(tx, shadow)),
        **to_page([_sample_document(sample) for sample in samples[:limit]], next_cursor),
    }


async def _shadow_period(tx: Tx, shadow: ShadowVersion) -> dict[str, str | None]:
    """Returns when the version last went into shadow, and when it left."""
    start = end = None
    for change in await catalogue_store.list_log_entries(tx, shadow.noun, shadow.key):
        if change.version == shadow.version and change.after == Status.SHADOW:
            start, end = change.at, None
        elif change.version == shadow.version and change.before == Status.SHADOW:
            end = change.at
    return {"from": format_optional_instant(start), "until": format_optional_instant(end)}


def _agreement_totals(counts: Sequence[OutcomeCount]) -> dict[str, Any]:
    decided = [each for each in counts if each.outcome != SKIPPED]
    compared = sum(each.number for each in decided if each.live)
    agreed = sum(each.number for each in decided if each.live == each.outcome)
    return {
        "decisions": sum(each.number for each in decided),
        "compared": compared,
        "agreed": agreed,
        "agreement": round(agreed / compared, 6) if compared else None,
        "skipped_events": {each.reason: each.number for each in counts if each.outcome == SKIPPED},
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


def _sample_document(sample: ShadowSample) -> dict[str, Any]:
    live = {"outcome": sample.live_outcome, "reason": sample.live_reason, "decision_id": sample.live_id}
    return {
        "time": format_instant(sample.time),
        "agrees": sample.agrees,
        "customer": sample.customer,
        "campaign": sample.campaign,
        "channel": sample.channel,
        "message_id": sample.message_id,
        "live": live if sample.live_outcome else None,
        "shadow": None if sample.decision is None else to_document(sample.decision, "full"),
    }
