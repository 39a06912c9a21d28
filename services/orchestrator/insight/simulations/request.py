"""Simulation requests, and the documents they refer to."""

import asyncio
from pathlib import Path
from typing import Annotated, Any

import msgspec
from pydantic import Field, model_validator

from schemas.documents import DocumentError, DocumentProblem, FieldError
from schemas.fields import CustomerId, Document, InstantField, Key, as_tuple
from schemas.times import Instant
from services.kit.db.database import Tx
from services.kit.errors import NotFound
from services.orchestrator.campaigns import document_checks, store
from services.orchestrator.campaigns.document_checks import ContentChecker
from services.orchestrator.campaigns.snapshot import NO_POLICY
from services.orchestrator.campaigns.store import DocumentVersion
from services.orchestrator.insight.simulations.traffic_export import TrafficWindow

MAX_NAMED_CUSTOMERS = 1000
ACTIVE_NOW = "in force now"


class SimulationVariant(Document):
    """One side of a comparison: a policy and campaigns. Absent parts are those in force now."""

    policy: Annotated[int, Field(ge=1)] | dict[str, Any] | None = None
    campaigns: Annotated[tuple[Key | dict[str, Any], ...], as_tuple, Field(min_length=1, max_length=500)] | None = None


class Share(Document):
    """A fixed share of all customers."""

    percent: Annotated[float, Field(gt=0, le=100, strict=False)]


class SimulationRequest(SimulationVariant):
    """Which traffic, decided by which documents, compared with what; `to` is exclusive."""

    since: InstantField = Field(alias="from")
    to: InstantField
    until: InstantField | None = None
    customers: (
        Annotated[tuple[CustomerId, ...], as_tuple, Field(min_length=1, max_length=MAX_NAMED_CUSTOMERS)] | Share | None
    ) = None
    against: SimulationVariant | None = None

    @model_validator(mode="after")
    def _check_order(self) -> "SimulationRequest":
        if self.to <= self.since:
            raise FieldError("to", "`to` must be later than `from`")
        if self.until is not None and self.until < self.since:
            raise FieldError("until", "`until` must not be earlier than `from`")
        return self


class ResolvedVariant(msgspec.Struct, frozen=True):
    """The documents of one side, and their names."""

    policy: dict[str, Any]
    campaigns: list[dict[str, Any]]
    names: dict[str, str]


class ResolvedRequest(msgspec.Struct, frozen=True):
    """A request with its documents resolved. `end`: the last instant of virtual time."""

    since: Instant
    until: Instant
    here: ResolvedVariant
    against: ResolvedVariant
    end: Instant | None = None
    customers: list[str] | None = None
    percent: float = 100.0

    def to_window(self) -> TrafficWindow:
        """Returns which traffic is meant."""
        chosen = None if self.customers is None else frozenset(self.customers)
        return TrafficWindow(self.since, self.until, chosen, self.percent)

    def document_names(self) -> dict[str, dict[str, str]]:
        """Returns the names of the documents of both sides."""
        return {"here": self.here.names, "against": self.against.names}


async def resolve_request(tx: Tx, request: SimulationRequest, check_content: ContentChecker) -> ResolvedRequest:
    """Resolves the documents that a request names. Raises DocumentError, NotFound."""
    customers = request.customers
    share = customers.percent if isinstance(customers, Share) else 100.0
    return ResolvedRequest(
        request.since,
        request.to,
        await _resolve_variant(tx, request, "", check_content),
        await _resolve_variant(tx, request.against or SimulationVariant(), "/against", check_content),
        request.until,
        None if customers is None or isinstance(customers, Share) else list(customers),
        share,
    )


def write_documents(resolved: ResolvedRequest, folder: Path) -> None:
    """Writes the documents of both sides as files."""
    for name, side in (("here", resolved.here), ("against", resolved.against)):
        campaigns = folder / name / "campaigns"
        campaigns.mkdir(parents=True)
        (folder / name / "policy.json").write_bytes(msgspec.json.encode(side.policy))
        for document in side.campaigns:
            (campaigns / f"{document['key']}.json").write_bytes(msgspec.json.encode(document))


async def _resolve_variant(
    tx: Tx, variant: SimulationVariant, pointer: str, check_content: ContentChecker
) -> ResolvedVariant:
    policy, policy_name = await _resolve_policy(tx, variant.policy, pointer)
    if variant.campaigns is None:
        active = [version for version in await store.list_launched_versions(tx) if version.status == "active"]
        campaigns, campaigns_name = [version.document for version in active], ACTIVE_NOW
    else:
        campaigns = [
            await _resolve_campaign(tx, each, f"{pointer}/campaigns/{place}", check_content)
            for place, each in enumerate(variant.campaigns)
        ]
        campaigns_name = f"{len(campaigns)} as given"
    keys = [document["key"] for document in campaigns]
    if len(set(keys)) != len(keys):
        raise DocumentError([(f"{pointer}/campaigns", "twice", "a campaign is listed twice")])
    return ResolvedVariant(policy, campaigns, {"policy": policy_name, "campaigns": campaigns_name})


async def _resolve_policy(tx: Tx, reference: int | dict[str, Any] | None, pointer: str) -> tuple[dict[str, Any], str]:
    if isinstance(reference, dict):
        try:
            document_checks.validate_policy(reference)
        except DocumentError as error:
            raise DocumentError(_prefix_problems(f"{pointer}/policy", error)) from None
        return reference, "as given"
    number = (await store.get_catalogue_state(tx)).active_policy if reference is None else reference
    if number is None:
        return NO_POLICY.model_dump(mode="json", by_alias=True, exclude_none=True), "none"
    version = await store.get_policy_version(tx, number)
    if version is None:
        raise NotFound(f"the policy has no version {number}")
    return version.document, f"version {number}"


async def _resolve_campaign(
    tx: Tx, reference: str | dict[str, Any], pointer: str, check_content: ContentChecker
) -> dict[str, Any]:
    """Returns a document given inline, or the newest version of a key."""
    if isinstance(reference, str):
        head = await store.get_head(tx, reference)
        newest: DocumentVersion | None = (
            None if head is None else await store.get_campaign_version(tx, reference, head.newest)
        )
        if newest is None:
            raise NotFound(f"there is no campaign `{reference}`")
        return newest.document
    try:
        checked = await asyncio.to_thread(
            document_checks.validate_campaign, str(reference.get("key")), reference, None, check_content
        )
    except DocumentError as error:
        raise DocumentError(_prefix_problems(pointer, error)) from None
    assert checked.document.key == reference["key"]
    return reference


def _prefix_problems(pointer: str, error: DocumentError) -> list[DocumentProblem]:
    return [each.below(pointer) for each in error.findings]
