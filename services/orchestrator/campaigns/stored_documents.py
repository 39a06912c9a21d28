"""Campaigns and policies that were saved before, read by this version.

An earlier version may have saved what this one refuses. Where it can still mean something it is read
(`read_stored_campaign`); where it cannot, the error names the version, what is wrong in it, and what to do.
"""

from typing import NamedTuple

import schemas.campaign
import schemas.policy
from schemas.documents import DocumentError, validate_document
from schemas.vocabulary import CampaignStatus as Status
from services.condition import ConditionSyntaxError
from services.kit.errors import Transient, WrongState
from services.orchestrator.campaigns.conditions import compile_campaign_condition, compile_situation_condition
from services.orchestrator.campaigns.store import DocumentVersion
from services.orchestrator.campaigns.trait_use import traits_of_campaign
from services.orchestrator.delivery.channels.content import CompiledContent, compile_content
from services.orchestrator.policy.compiled_campaign import CompiledCampaign, compile_campaign
from services.orchestrator.policy.compiled_policy import CompiledPolicy, compile_policy


class UnreadableCampaign(WrongState):
    """A version of a campaign that this version of Tactful cannot use. It decides nothing."""


class UnreadablePolicy(Transient):
    """The active policy cannot be used by this version of Tactful. Events wait until another one is active."""


class CompiledVersion(NamedTuple):
    """A version of a campaign, compiled."""

    campaign: CompiledCampaign
    content: CompiledContent


def read_campaign(version: DocumentVersion) -> schemas.campaign.Campaign:
    """The document of a version. Raises UnreadableCampaign."""
    try:
        return schemas.campaign.read_stored_campaign(version.document)
    except DocumentError as error:
        raise _unreadable(version, error) from None


def compile_version(version: DocumentVersion, content: CompiledContent | None = None) -> CompiledVersion:
    """Compiles a version. `content`: what its content was compiled to before. Raises UnreadableCampaign."""
    document = read_campaign(version)
    is_active = version.status in (Status.ACTIVE, Status.SHADOW)
    try:
        campaign = compile_campaign(
            document,
            version.version,
            is_active,
            compile_campaign_condition,
            version.status.value,
            traits=traits_of_campaign(document),
        )
        return CompiledVersion(campaign, content or compile_content(document))
    except (ConditionSyntaxError, ValueError) as error:
        raise _unreadable(version, error) from None


def _unreadable(version: DocumentVersion, error: ValueError) -> UnreadableCampaign:
    return UnreadableCampaign(
        f"version {version.version} of `{version.key}` was saved by an earlier version of Tactful and cannot be used "
        f"by this one, so it decides nothing: {error}. PUT the mended document as a new version."
    )


def compile_active_policy(version: DocumentVersion) -> CompiledPolicy:
    """Compiles the active policy. Raises UnreadablePolicy."""
    try:
        return compile_policy(read_active_policy(version), version.version, compile_situation_condition)
    except ConditionSyntaxError as error:
        raise _unreadable_policy(version, error) from None


def read_active_policy(version: DocumentVersion) -> schemas.policy.Policy:
    """The document of the active policy. Raises UnreadablePolicy."""
    try:
        return validate_document(schemas.policy.Policy, version.document)
    except DocumentError as error:
        raise _unreadable_policy(version, error) from None


def _unreadable_policy(version: DocumentVersion, error: ValueError) -> UnreadablePolicy:
    return UnreadablePolicy(
        f"version {version.version} of the policy is active, was saved by an earlier version of Tactful, and cannot be "
        f"used by this one, so nothing is decided: {error}. PUT the mended policy, and activate it.",
        retry_after=2.0,
    )
