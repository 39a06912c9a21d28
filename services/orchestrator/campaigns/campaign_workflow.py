"""Campaign workflow: register a version, and move it through the approval lifecycle. One transaction per action."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import schemas.policy
from schemas.campaign_scope import ALL_CAMPAIGNS, CampaignScope
from schemas.documents import DocumentError
from schemas.finding import Finding
from schemas.four_eyes import Actor
from schemas.times import Instant
from schemas.vocabulary import CampaignStatus as Status
from services.kit.db.database import Database, Tx
from services.kit.errors import NotFound, PreconditionFailed
from services.orchestrator.access.store import list_key_origins
from services.orchestrator.campaigns import document_checks, lifecycle, store
from services.orchestrator.campaigns.lifecycle import LifecycleAction
from services.orchestrator.campaigns.scope_check import check_campaign
from services.orchestrator.campaigns.store import CampaignHead, CatalogueLogEntry, DocumentVersion
from services.orchestrator.campaigns.stored_documents import read_active_policy
from services.orchestrator.insight.shadow import store as shadow_store
from services.orchestrator.insight.shadow.observations import ShadowVersion

RevisionCheck = Callable[[int | None], None]
"""A check that raises PreconditionFailed unless the caller's If-Match fits the revision (None: nothing exists yet)."""


@dataclass(frozen=True, slots=True)
class CampaignWithVersion:
    """A campaign and one of its versions. `created`: this call registered the campaign."""

    head: CampaignHead
    version: DocumentVersion
    created: bool = False
    warnings: tuple[Finding, ...] = ()
    """What its content may fail for; known where it was just checked."""


@dataclass(frozen=True, slots=True)
class TransitionRequest:
    """A requested action: who acts and with which key, when, why, the revision they expect, and the campaigns that they
    may change.
    """

    actor: str
    at: Instant
    check_revision: RevisionCheck
    reason: str | None = None
    actor_id: str | None = None
    scope: CampaignScope = ALL_CAMPAIGNS


async def register_campaign(
    database: Database, key: str, data: Any, check_content: document_checks.ContentChecker, request: TransitionRequest
) -> CampaignWithVersion:
    """Stores the document as the campaign's next draft; the active version stays active.

    Registering the same document again, by the same editor while it is a draft, changes nothing. A draft that was never
    activated is replaced. Raises DocumentError, PreconditionFailed, Forbidden `out_of_scope`.
    """
    async with database.read() as tx:
        policy = await get_active_policy(tx)
    checked = await asyncio.to_thread(document_checks.validate_campaign, key, data, policy, check_content, request.at)
    async with database.write() as tx:
        head = await store.get_or_create_head(tx, key, request.at)
        await check_campaign(tx, request.scope, head, data)
        request.check_revision(head.revision or None)
        before = await store.get_campaign_version(tx, key, head.newest)
        if before is not None and (before.status, before.editor, before.document) == (
            Status.DRAFT,
            request.actor,
            data,
        ):
            return CampaignWithVersion(head, before, warnings=checked.warnings)
        if before is not None and before.status in lifecycle.PRELAUNCH_STATUSES:
            await store.update_version_status(tx, "campaign", replace(before, status=Status.REPLACED))
        if before is not None and before.status is Status.SHADOW:
            await store.append_log_entry(
                tx, _log_entry(replace(before, status=Status.REPLACED), "replace", before.status, request)
            )
            await store.increment_catalogue_version(tx)
        version = DocumentVersion(
            key,
            head.newest + 1,
            Status.DRAFT,
            data,
            request.actor,
            None,
            None,
            None,
            None,
            request.at,
            request.actor_id,
        )
        await store.insert_version(tx, "campaign", version)
        updated_head = await store.update_head(tx, replace(head, newest=version.version), request.at)
        await store.append_log_entry(tx, _log_entry(version, "put", None, request))
    return CampaignWithVersion(updated_head, version, created=before is None, warnings=checked.warnings)


async def transition_campaign(
    database: Database,
    key: str,
    action: LifecycleAction,
    request: TransitionRequest,
    check_content: document_checks.ContentChecker,
) -> CampaignWithVersion:
    """Applies an action to the campaign's newest version, or pauses, stops or resumes the active one.

    A version that comes nearer to deciding must pass the checks of today's save: an earlier version of Tactful, or
    another policy, may have let it pass. The change is visible to decisions once this transaction commits. Putting a
    version in shadow does not touch the active one; `stop` ends a shadow only while nothing is active.
    Raises NotFound, PreconditionFailed, Conflict `wrong_state`, Forbidden `own_edit` and `out_of_scope`, Invalid.
    """
    checked: DocumentVersion | None = None
    policy_number: int | None = None
    warnings: tuple[Finding, ...] = ()
    if action in _CHECKED_ACTIONS:
        async with database.read() as tx:
            _, checked, _ = await _plan_transition(tx, await store.get_head(tx, key), key, action, request)
            policy_number = (await store.get_catalogue_state(tx)).active_policy
            policy = await get_active_policy(tx)
        warnings = await _check_version(checked, action, policy, check_content, request.at)
    async with database.write() as tx:
        head, before, version = await _plan_transition(tx, await store.lock_head(tx, key), key, action, request)
        if checked is not None and checked.version != before.version:
            raise PreconditionFailed(f"`{key}` was changed at the same time; read it again and repeat the action")
        status = version.status
        await store.update_version_status(tx, "campaign", version)
        if action is LifecycleAction.ACTIVATE and head.active_version not in (None, version.version):
            await _replace_previous_version(tx, head, request)
        if status in lifecycle.RUNNING_STATUSES or before.status in lifecycle.RUNNING_STATUSES:
            head = replace(head, active_version=version.version, status=status)
            await store.increment_catalogue_version(tx)
            if (
                action is LifecycleAction.ACTIVATE
                and (await store.get_catalogue_state(tx)).active_policy != policy_number
            ):
                raise PreconditionFailed(
                    f"`{key}` was checked by a policy that was replaced meanwhile; repeat the action"
                )
        elif Status.SHADOW in (before.status, status):
            await store.increment_catalogue_version(tx)
        if action is LifecycleAction.SHADOW:
            await shadow_store.start_shadow(tx, ShadowVersion("campaign", key, version.version), request.at)
        head = await store.update_head(tx, head, request.at)
        await store.append_log_entry(tx, _log_entry(version, action, before.status, request))
    return CampaignWithVersion(head, version, warnings=warnings)


_CHECKED_ACTIONS = (LifecycleAction.SUBMIT, LifecycleAction.APPROVE, LifecycleAction.SHADOW, LifecycleAction.ACTIVATE)


async def _plan_transition(
    tx: Tx, head: CampaignHead | None, key: str, action: LifecycleAction, request: TransitionRequest
) -> tuple[CampaignHead, DocumentVersion, DocumentVersion]:
    """The campaign, and the version that the action is about, before and after it."""
    if head is None:
        raise NotFound(f"there is no campaign `{key}`")
    await check_campaign(tx, request.scope, head)
    request.check_revision(head.revision)
    before = await _target_version(tx, head, action)
    what = f"version {before.version} of `{key}`"
    status = lifecycle.next_status(lifecycle.CAMPAIGN_TRANSITIONS, what, before.status, action)
    return head, before, await apply_action(tx, before, action, status, request)


async def _check_version(
    version: DocumentVersion,
    action: LifecycleAction,
    policy: schemas.policy.Policy | None,
    check_content: document_checks.ContentChecker,
    now: Instant,
) -> tuple[Finding, ...]:
    """What the version's content may fail for. Raises Invalid for a version that could not be saved today."""
    try:
        checked = await asyncio.to_thread(
            document_checks.validate_campaign, version.key, version.document, policy, check_content, now
        )
    except DocumentError as error:
        what = f"version {version.version} of `{version.key}`"
        raise document_checks.version_refusal(what, action, error) from None
    return checked.warnings


async def apply_action(
    tx: Tx, version: DocumentVersion, action: LifecycleAction, status: Status, request: TransitionRequest
) -> DocumentVersion:
    """Returns the version after the action, with its actor recorded. Raises Forbidden for approving one's own edit."""
    version = replace(version, status=status, note=request.reason)
    match action:
        case LifecycleAction.SUBMIT:
            return replace(version, submitted_by=request.actor)
        case LifecycleAction.APPROVE:
            editor, approver = Actor(version.editor, version.editor_id), Actor(request.actor, request.actor_id)
            lifecycle.check_four_eyes(f"version {version.version}", editor, approver, await list_key_origins(tx))
            return replace(version, approved_by=request.actor, approved_at=request.at)
        case LifecycleAction.REJECT:
            return replace(version, submitted_by=None, approved_by=None, approved_at=None)
        case LifecycleAction.SHADOW | LifecycleAction.ACTIVATE:
            assert version.approved_by is not None, "only approved versions evaluate live events"
            return version
        case LifecycleAction.PAUSE | LifecycleAction.STOP:
            return version


async def get_active_policy(tx: Tx) -> schemas.policy.Policy | None:
    """Returns the active policy document, if there is one. Raises UnreadablePolicy."""
    number = (await store.get_catalogue_state(tx)).active_policy
    version = None if number is None else await store.get_policy_version(tx, number)
    return None if version is None else read_active_policy(version)


async def _target_version(tx: Tx, head: CampaignHead, action: LifecycleAction) -> DocumentVersion:
    newest = await store.get_campaign_version(tx, head.key, head.newest)
    assert newest is not None
    is_ready = newest.status in (Status.APPROVED, Status.SHADOW)
    ends_shadow = newest.status is Status.SHADOW and head.status not in lifecycle.RUNNING_STATUSES
    acts_on_running = action is LifecycleAction.PAUSE or (action is LifecycleAction.STOP and not ends_shadow)
    resumes = action is LifecycleAction.ACTIVATE and not is_ready and head.status is Status.PAUSED
    if head.active_version is None or not (acts_on_running or resumes):
        return newest
    running = await store.get_campaign_version(tx, head.key, head.active_version)
    assert running is not None
    return running


async def _replace_previous_version(tx: Tx, head: CampaignHead, request: TransitionRequest) -> None:
    previous = await store.get_campaign_version(tx, head.key, head.active_version or 0)
    assert previous is not None
    await store.update_version_status(tx, "campaign", replace(previous, status=Status.REPLACED))
    await store.append_log_entry(
        tx, _log_entry(replace(previous, status=Status.REPLACED), "replace", previous.status, request)
    )


def _log_entry(
    version: DocumentVersion, action: str, before: Status | None, request: TransitionRequest
) -> CatalogueLogEntry:
    return CatalogueLogEntry(
        "campaign",
        version.key,
        version.version,
        action,
        before,
        version.status,
        request.actor,
        request.reason,
        request.at,
    )
