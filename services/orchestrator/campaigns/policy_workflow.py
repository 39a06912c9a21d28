"""Policy workflow: one document with versions, of which one is active."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Protocol

import schemas.policy
from schemas.documents import DocumentError
from schemas.vocabulary import CampaignStatus as Status
from services.kit.db.database import Database, Tx
from services.kit.errors import NotFound, PreconditionFailed, WrongState
from services.orchestrator.campaigns import document_checks, lifecycle, store
from services.orchestrator.campaigns.active_trait_uses import refuse_active_uses
from services.orchestrator.campaigns.campaign_workflow import TransitionRequest, apply_action
from services.orchestrator.campaigns.lifecycle import LifecycleAction
from services.orchestrator.campaigns.scope_check import check_policy_change
from services.orchestrator.campaigns.store import POLICY_KEY, CatalogueLogEntry, CatalogueState, DocumentVersion
from services.orchestrator.insight.shadow import store as shadow_store
from services.orchestrator.insight.shadow.observations import ShadowVersion


class TopicsApi(Protocol):
    """Receives the topics that customers choose from; implemented by the preference client."""

    async def set_topics(self, policy_version: int, topics: Sequence[dict[str, Any]]) -> None:
        """Stores the topics of this version unless those of a later one are stored. Raises Transient."""


class SituationsApi(Protocol):
    """Receives the kinds of situations; implemented by the suppression client."""

    async def set_situations(self, policy_version: int, situations: Sequence[dict[str, Any]]) -> None:
        """Stores the kinds of this version unless those of a later one are stored. Raises Transient."""


async def register_policy(
    database: Database, data: Any, request: TransitionRequest
) -> tuple[int, DocumentVersion, bool]:
    """Stores the document as the next draft. Returns the policy's revision, the version, and whether it is the first
    ever.

    Registering the same document again, by the same editor while it is the newest draft, changes nothing. Raises
    DocumentError, PreconditionFailed, Forbidden `out_of_scope`.
    """
    check_policy_change(request.scope)
    document = await asyncio.to_thread(document_checks.validate_policy, data)
    async with database.write() as tx:
        state = await store.get_catalogue_state(tx, lock=True)
        request.check_revision(state.policy_revision or None)
        await _check_fail_open(tx, document)
        newest = next(iter(await store.list_policy_versions(tx, 2**31 - 1, 1)), None)
        if newest is not None and (newest.status, newest.editor, newest.document) == (
            Status.DRAFT,
            request.actor,
            data,
        ):
            return state.policy_revision, newest, False
        number = newest.version + 1 if newest else 1
        version = DocumentVersion(
            POLICY_KEY, number, Status.DRAFT, data, request.actor, None, None, None, None, request.at, request.actor_id
        )
        await store.insert_version(tx, "policy", version)
        revision = await store.update_policy_state(tx, state.active_policy, decisions_must_reload=False)
        await store.append_log_entry(tx, _log_entry(version, "put", None, request))
    return revision, version, newest is None


async def transition_policy(
    database: Database, number: int, action: LifecycleAction, request: TransitionRequest
) -> tuple[int, DocumentVersion]:
    """Submits, approves or rejects a version, or puts it in shadow. Returns the policy's revision and the version.

    At most one version is in shadow. Raises NotFound, PreconditionFailed, Conflict `wrong_state`, Forbidden `own_edit`
    and `out_of_scope`, and Invalid for a version that could not be saved today.
    """
    check_policy_change(request.scope)
    async with database.write() as tx:
        state, before = await _lock_version(tx, number, request)
        status = lifecycle.next_status(
            lifecycle.POLICY_TRANSITIONS, f"version {number} of the policy", before.status, action
        )
        version = await apply_action(tx, before, action, status, request)
        if action is not LifecycleAction.REJECT:
            await _check_version(tx, before, action)
        if action is LifecycleAction.SHADOW:
            await _begin_shadow(tx, version, request)
        await store.update_version_status(tx, "policy", version)
        revision = await store.update_policy_state(
            tx, state.active_policy, decisions_must_reload=Status.SHADOW in (before.status, status)
        )
        await store.append_log_entry(tx, _log_entry(version, action, before.status, request))
    return revision, version


async def activate_policy(
    database: Database, number: int, request: TransitionRequest, topics: TopicsApi, situations: SituationsApi
) -> tuple[int, DocumentVersion]:
    """Activates a version, after suppression has its situations and preference its topics.

    Versions only increase: each of the two services ignores a version lower than its own, so calls may arrive
    in any order. A Transient from either leaves the version approved, and the call can be repeated. Raises as
    `transition_policy` does; Invalid also while active campaigns use traits that the version declares too sensitive.
    """
    check_policy_change(request.scope)
    async with database.write() as tx:
        state, before = await _lock_version(tx, number, request)
        _check_activation(state, before)
        document = await _check_version(tx, before, LifecycleAction.ACTIVATE)
        launched = await store.list_launched_versions(tx) if document.traits else []
    await asyncio.to_thread(refuse_active_uses, number, document, launched)
    # No lock is held during the calls to the other services, so the version is read and checked again afterwards.
    await situations.set_situations(number, [_to_json(kind) for kind in document.situations])
    await topics.set_topics(number, [_to_json(topic) for topic in document.topics])
    async with database.write() as tx:
        seen, state = state.version, await store.get_catalogue_state(tx, lock=True)
        if document.traits and state.version != seen:
            raise PreconditionFailed("a campaign was changed at the same time; repeat the action")
        current = await store.get_policy_version(tx, number)
        assert current is not None
        status = _check_activation(state, current)
        version = await apply_action(tx, current, LifecycleAction.ACTIVATE, status, request)
        await store.update_version_status(tx, "policy", version)
        if state.active_policy is not None:
            await _replace_previous_version(tx, state.active_policy, request)
        revision = await store.update_policy_state(tx, number, decisions_must_reload=True)
        await store.append_log_entry(tx, _log_entry(version, LifecycleAction.ACTIVATE, current.status, request))
    return revision, version


async def _check_fail_open(tx: Tx, document: schemas.policy.Policy) -> None:
    flags = await store.get_transactional_flags(tx, document.fail_open)
    if problems := document_checks.fail_open_problems(document, flags):
        raise DocumentError(problems)


async def _check_version(tx: Tx, version: DocumentVersion, action: LifecycleAction) -> schemas.policy.Policy:
    """The document, as today's save would take it. Raises Invalid."""
    try:
        document = document_checks.validate_policy(version.document)
        await _check_fail_open(tx, document)
    except DocumentError as error:
        what = f"version {version.version} of the policy"
        raise document_checks.version_refusal(what, action, error) from None
    return document


async def _begin_shadow(tx: Tx, version: DocumentVersion, request: TransitionRequest) -> None:
    other = await store.get_shadow_policy_version(tx)
    if other is not None:
        raise WrongState(
            f"version {other.version} of the policy is in shadow; reject or activate it before another one"
        )
    await shadow_store.start_shadow(tx, ShadowVersion("policy", POLICY_KEY, version.version), request.at)


def _check_activation(state: CatalogueState, version: DocumentVersion) -> Status:
    what = f"version {version.version} of the policy"
    status = lifecycle.next_status(lifecycle.POLICY_TRANSITIONS, what, version.status, LifecycleAction.ACTIVATE)
    if state.active_policy is not None and version.version < state.active_policy:
        raise WrongState(
            f"version {state.active_policy} is active and {what} is older; PUT its document again to go back to it"
        )
    return status


async def _lock_version(tx: Tx, number: int, request: TransitionRequest) -> tuple[CatalogueState, DocumentVersion]:
    state = await store.get_catalogue_state(tx, lock=True)
    version = await store.get_policy_version(tx, number)
    if version is None:
        raise NotFound(f"the policy has no version {number}")
    request.check_revision(state.policy_revision)
    return state, version


async def _replace_previous_version(tx: Tx, number: int, request: TransitionRequest) -> None:
    previous = await store.get_policy_version(tx, number)
    assert previous is not None
    await store.update_version_status(tx, "policy", replace(previous, status=Status.REPLACED))
    await store.append_log_entry(
        tx, _log_entry(replace(previous, status=Status.REPLACED), "replace", previous.status, request)
    )


def _to_json(document: schemas.policy.Topic | schemas.policy.SituationKind) -> dict[str, Any]:
    return document.model_dump(mode="json", by_alias=True, exclude_none=True)


def _log_entry(
    version: DocumentVersion, action: str, before: Status | None, request: TransitionRequest
) -> CatalogueLogEntry:
    return CatalogueLogEntry(
        "policy", POLICY_KEY, version.version, action, before, version.status, request.actor, request.reason, request.at
    )
