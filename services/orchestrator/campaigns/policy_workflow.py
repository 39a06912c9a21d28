"""What people do to the policy: one document, versioned; one version is active."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Protocol

import schemas.policy
from schemas.documents import DocumentError, validate
from schemas.vocabulary import CampaignStatus as Status
from services.kit.db.database import Database, Tx
from services.kit.errors import Conflict, NotFound
from services.orchestrator.campaigns import document_checks, lifecycle, store
from services.orchestrator.campaigns.campaign_workflow import Deed, led
from services.orchestrator.campaigns.lifecycle import Action
from services.orchestrator.campaigns.store import POLICY, Change, State, Version
from services.orchestrator.insight.shadow import store as shadow_store
from services.orchestrator.insight.shadow.observations import Watched


class TopicsDoor(Protocol):
    """Where the topics that customers choose from go: the preference service's client."""

    async def set_topics(self, policy_version: int, topics: Sequence[dict[str, Any]]) -> None:
        """Take the topics of this version, unless those of a later one are there. Raises Transient."""


class SituationsDoor(Protocol):
    """Where the kinds of situations go: the suppression service's client."""

    async def set_situations(self, policy_version: int, situations: Sequence[dict[str, Any]]) -> None:
        """Take the kinds of this version, unless those of a later one are there. Raises Transient."""


async def register(database: Database, data: Any, deed: Deed) -> tuple[int, Version, bool]:
    """Keep the document as the next draft: the policy's revision, the version, whether it is the first ever.

    The same document again, from the same editor while it is still the newest draft, changes nothing.
    Raises DocumentError, PreconditionFailed.
    """
    document = document_checks.policy(data)
    async with database.write() as tx:
        state = await store.state(tx, lock=True)
        deed.expect(state.policy_revision or None)
        faults = document_checks.fail_open_faults(document, await store.transactional(tx, document.fail_open))
        if faults:
            raise DocumentError(faults)
        newest = next(iter(await store.policy_versions(tx, 2**31 - 1, 1)), None)
        if newest is not None and (newest.status, newest.editor, newest.document) == (Status.DRAFT, deed.by, data):
            return state.policy_revision, newest, False
        number = newest.version + 1 if newest else 1
        version = Version(POLICY, number, Status.DRAFT, data, deed.by, None, None, None, None, deed.at)
        await store.add_version(tx, "policy", version)
        revision = await store.move_policy(tx, state.active_policy, seen=False)
        await store.write_log(tx, _change(version, "put", None, deed))
    return revision, version, newest is None


async def act(database: Database, number: int, action: Action, deed: Deed) -> tuple[int, Version]:
    """Submit, approve or reject a version, or put it in shadow: the policy's revision and the version.

    At most one version is in shadow. Raises NotFound, PreconditionFailed, Conflict `wrong_state`, Forbidden `own_edit`.
    """
    async with database.write() as tx:
        state, before = await _locked(tx, number, deed)
        status = lifecycle.after(lifecycle.POLICY, f"version {number} of the policy", before.status, action)
        version = led(before, action, status, deed)
        if action is Action.SHADOW:
            await _begin_shadow(tx, version, deed)
        await store.write_status(tx, "policy", version)
        revision = await store.move_policy(tx, state.active_policy, seen=Status.SHADOW in (before.status, status))
        await store.write_log(tx, _change(version, action, before.status, deed))
    return revision, version


async def activate(
    database: Database, number: int, deed: Deed, topics: TopicsDoor, situations: SituationsDoor
) -> tuple[int, Version]:
    """Make a version the active one, after suppression has its situations and preference its topics.

    Versions only go up: the other services keep what the highest version said, whatever order calls arrive in.
    A Transient of either leaves the version approved; the call can be repeated. Raises as `act`.
    """
    async with database.write() as tx:
        state, before = await _locked(tx, number, deed)
        _check_activation(state, before)
    document = validate(schemas.policy.Policy, before.document)
    await situations.set_situations(number, [_plain(kind) for kind in document.situations])
    await topics.set_topics(number, [_plain(topic) for topic in document.topics])
    async with database.write() as tx:
        state = await store.state(tx, lock=True)
        found = await store.policy_version(tx, number)
        assert found is not None
        status = _check_activation(state, found)
        version = led(found, Action.ACTIVATE, status, deed)
        await store.write_status(tx, "policy", version)
        if state.active_policy is not None:
            await _replace_former(tx, state.active_policy, deed)
        revision = await store.move_policy(tx, number, seen=True)
        await store.write_log(tx, _change(version, Action.ACTIVATE, found.status, deed))
    return revision, version


async def _begin_shadow(tx: Tx, version: Version, deed: Deed) -> None:
    other = await store.policy_in_shadow(tx)
    if other is not None:
        raise Conflict(
            f"version {other.version} of the policy is in shadow; reject or activate it before another one",
            code="wrong_state",
        )
    await shadow_store.begin(tx, Watched("policy", POLICY, version.version), deed.at)


def _check_activation(state: State, version: Version) -> Status:
    what = f"version {version.version} of the policy"
    status = lifecycle.after(lifecycle.POLICY, what, version.status, Action.ACTIVATE)
    if state.active_policy is not None and version.version < state.active_policy:
        raise Conflict(
            f"version {state.active_policy} is active and {what} is older; PUT its document again to go back to it",
            code="wrong_state",
        )
    return status


async def _locked(tx: Tx, number: int, deed: Deed) -> tuple[State, Version]:
    state = await store.state(tx, lock=True)
    version = await store.policy_version(tx, number)
    if version is None:
        raise NotFound(f"the policy has no version {number}")
    deed.expect(state.policy_revision)
    return state, version


async def _replace_former(tx: Tx, number: int, deed: Deed) -> None:
    former = await store.policy_version(tx, number)
    assert former is not None
    await store.write_status(tx, "policy", replace(former, status=Status.REPLACED))
    await store.write_log(tx, _change(replace(former, status=Status.REPLACED), "replace", former.status, deed))


def _plain(document: schemas.policy.Topic | schemas.policy.SituationKind) -> dict[str, Any]:
    return document.model_dump(mode="json", by_alias=True, exclude_none=True)


def _change(version: Version, action: str, before: Status | None, deed: Deed) -> Change:
    return Change("policy", POLICY, version.version, action, before, version.status, deed.by, deed.reason, deed.at)
