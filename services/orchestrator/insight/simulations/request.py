"""What is asked of a simulation, and the documents that are meant."""

from pathlib import Path
from typing import Annotated, Any

import msgspec
from pydantic import Field, model_validator

import schemas.campaign
from schemas.documents import DocumentError, Problem
from schemas.fields import CustomerId, Document, InstantField, Key, tupled
from schemas.times import Instant
from services.kit.db.database import Tx
from services.kit.errors import NotFound
from services.orchestrator.campaigns import document_checks, store
from services.orchestrator.campaigns.document_checks import ContentChecker
from services.orchestrator.campaigns.snapshot import NO_POLICY
from services.orchestrator.campaigns.store import DocumentVersion
from services.orchestrator.insight.simulations.traffic_export import Window

MOST_NAMED = 1000
IN_FORCE = "in force now"


class Variant(Document):
    """One side: a policy and campaigns. What is absent is what is in force now."""

    policy: Annotated[int, Field(ge=1)] | dict[str, Any] | None = None
    campaigns: Annotated[tuple[Key | dict[str, Any], ...], tupled, Field(min_length=1, max_length=500)] | None = None


class Share(Document):
    """A part of all customers, always the same ones."""

    percent: Annotated[float, Field(gt=0, le=100, strict=False)]


class SimulationRequest(Variant):
    """Which traffic, decided how, compared with what; `to` is exclusive."""

    since: InstantField = Field(alias="from")
    to: InstantField
    until: InstantField | None = None
    customers: Annotated[tuple[CustomerId, ...], tupled, Field(min_length=1, max_length=MOST_NAMED)] | Share | None = (
        None
    )
    against: Variant | None = None

    @model_validator(mode="after")
    def _in_order(self) -> "SimulationRequest":
        if self.to <= self.since:
            raise ValueError("`to` must lie after `from`")
        if self.until is not None and self.until < self.since:
            raise ValueError("`until` must not lie before `from`")
        return self


class Side(msgspec.Struct, frozen=True):
    """The documents of one side, and what they are called."""

    policy: dict[str, Any]
    campaigns: list[dict[str, Any]]
    names: dict[str, str]


class Resolved(msgspec.Struct, frozen=True):
    """A request with the documents that it names. `end`: the last instant of virtual time."""

    since: Instant
    until: Instant
    here: Side
    against: Side
    end: Instant | None = None
    customers: list[str] | None = None
    percent: float = 100.0

    def window(self) -> Window:
        """Which traffic."""
        chosen = None if self.customers is None else frozenset(self.customers)
        return Window(self.since, self.until, chosen, self.percent)

    def names(self) -> dict[str, dict[str, str]]:
        """What the documents of both sides are called."""
        return {"here": self.here.names, "against": self.against.names}


async def resolve(tx: Tx, asked: SimulationRequest, check_content: ContentChecker) -> Resolved:
    """The request with the documents that it names. Raises DocumentError, NotFound."""
    chosen = asked.customers
    share = chosen.percent if isinstance(chosen, Share) else 100.0
    return Resolved(
        asked.since,
        asked.to,
        await _side(tx, asked, "", check_content),
        await _side(tx, asked.against or Variant(), "/against", check_content),
        asked.until,
        None if chosen is None or isinstance(chosen, Share) else list(chosen),
        share,
    )


def write_documents(resolved: Resolved, folder: Path) -> None:
    """Write the documents of both sides as files."""
    for name, side in (("here", resolved.here), ("against", resolved.against)):
        campaigns = folder / name / "campaigns"
        campaigns.mkdir(parents=True)
        (folder / name / "policy.json").write_bytes(msgspec.json.encode(side.policy))
        for document in side.campaigns:
            (campaigns / f"{document['key']}.json").write_bytes(msgspec.json.encode(document))


async def _side(tx: Tx, variant: Variant, pointer: str, check_content: ContentChecker) -> Side:
    policy, policy_name = await _policy(tx, variant.policy, pointer)
    if variant.campaigns is None:
        running = [version for version in await store.list_launched_versions(tx) if version.status == "active"]
        campaigns, campaigns_name = [version.document for version in running], IN_FORCE
    else:
        campaigns = [
            await _campaign(tx, each, f"{pointer}/campaigns/{place}", check_content)
            for place, each in enumerate(variant.campaigns)
        ]
        campaigns_name = f"{len(campaigns)} as given"
    keys = [document["key"] for document in campaigns]
    if len(set(keys)) != len(keys):
        raise DocumentError([(f"{pointer}/campaigns", "twice", "names a campaign twice")])
    return Side(policy, campaigns, {"policy": policy_name, "campaigns": campaigns_name})


async def _policy(tx: Tx, meant: int | dict[str, Any] | None, pointer: str) -> tuple[dict[str, Any], str]:
    if isinstance(meant, dict):
        try:
            document_checks.validate_policy(meant)
        except DocumentError as error:
            raise DocumentError(_within(f"{pointer}/policy", error)) from None
        return meant, "as given"
    number = (await store.get_catalogue_state(tx)).active_policy if meant is None else meant
    if number is None:
        return NO_POLICY.model_dump(mode="json", by_alias=True, exclude_none=True), "none"
    version = await store.get_policy_version(tx, number)
    if version is None:
        raise NotFound(f"the policy has no version {number}")
    return version.document, f"version {number}"


async def _campaign(tx: Tx, meant: str | dict[str, Any], pointer: str, check_content: ContentChecker) -> dict[str, Any]:
    """A document, or the newest version of a key."""
    if isinstance(meant, str):
        head = await store.get_head(tx, meant)
        found: DocumentVersion | None = (
            None if head is None else await store.get_campaign_version(tx, meant, head.newest)
        )
        if found is None:
            raise NotFound(f"there is no campaign `{meant}`")
        return found.document
    try:
        checked: schemas.campaign.Campaign = document_checks.validate_campaign(
            str(meant.get("key")), meant, None, check_content
        )
    except DocumentError as error:
        raise DocumentError(_within(pointer, error)) from None
    assert checked.key == meant["key"]
    return meant


def _within(pointer: str, error: DocumentError) -> list[Problem]:
    return [(f"{pointer}{place}", code, detail) for place, code, detail in error.errors]
