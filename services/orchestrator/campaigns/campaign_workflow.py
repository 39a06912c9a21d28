"""What people do to campaigns: register a version, and lead it through its life. One transaction each."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import schemas.policy
from schemas.documents import validate
from schemas.times import Instant
from schemas.vocabulary import CampaignStatus as Status
from services.kit.db.database import Database, Tx
from services.kit.errors import NotFound
from services.orchestrator.campaigns import document_checks, lifecycle, store
from services.orchestrator.campaigns.lifecycle import Action
from services.orchestrator.campaigns.store import Change, Head, Version
from services.orchestrator.insight.shadow import store as shadow_store
from services.orchestrator.insight.shadow.observations import Watched

Expect = Callable[[int | None], None]
"""Raises PreconditionFailed unless the caller's If-Match fits the revision (None: there is no such thing yet)."""


@dataclass(frozen=True, slots=True)
class Registered:
    """A campaign and one of its versions; `created`: this call registered the campaign."""

    head: Head
    version: Version
    created: bool = False


@dataclass(frozen=True, slots=True)
class Deed:
    """Who does something now, why, and what they expect the thing to be (its revision)."""

    by: str
    at: Instant
    expect: Expect
    reason: str | None = None


async def register(
    database: Database, key: str, data: Any, check_content: document_checks.CheckContent, deed: Deed
) -> Registered:
    """Keep the document as the campaign's next draft; what runs goes on.

    The same document again, from the same editor while it is still a draft, changes nothing. A draft that was not
    activated is replaced. Raises DocumentError, PreconditionFailed.
    """
    async with database.read() as tx:
        policy = await active_policy(tx)
    document_checks.campaign(key, data, policy, check_content)
    async with database.write() as tx:
        head = await store.claim_head(tx, key, deed.at)
        deed.expect(head.revision or None)
        before = await store.campaign_version(tx, key, head.newest)
        if before is not None and (before.status, before.editor, before.document) == (Status.DRAFT, deed.by, data):
            return Registered(head, before)
        if before is not None and before.status in lifecycle.OPEN:
            await store.write_status(tx, "campaign", replace(before, status=Status.REPLACED))
        if before is not None and before.status is Status.SHADOW:
            await store.write_log(tx, _change(replace(before, status=Status.REPLACED), "replace", before.status, deed))
            await store.raise_version(tx)
        version = Version(key, head.newest + 1, Status.DRAFT, data, deed.by, None, None, None, None, deed.at)
        await store.add_version(tx, "campaign", version)
        moved = await store.move_head(tx, replace(head, newest=version.version), deed.at)
        await store.write_log(tx, _change(version, "put", None, deed))
    return Registered(moved, version, created=before is None)


async def act(database: Database, key: str, action: Action, deed: Deed) -> Registered:
    """Lead the campaign's newest version on, or pause, stop or resume the one that runs; visible to deciding at once.

    A version in shadow leaves the one that runs alone; `stop` ends it only while nothing runs.

    Raises NotFound, PreconditionFailed, Conflict `wrong_state`, Forbidden `own_edit`.
    """
    async with database.write() as tx:
        head = await store.lock_head(tx, key)
        if head is None:
            raise NotFound(f"there is no campaign `{key}`")
        deed.expect(head.revision)
        before = await _meant(tx, head, action)
        status = lifecycle.after(lifecycle.CAMPAIGN, f"version {before.version} of `{key}`", before.status, action)
        version = led(before, action, status, deed)
        await store.write_status(tx, "campaign", version)
        if action is Action.ACTIVATE and head.active_version not in (None, version.version):
            await _replace_former(tx, head, deed)
        if status in lifecycle.RUNNING or before.status in lifecycle.RUNNING:
            head = replace(head, active_version=version.version, status=status)
            await store.raise_version(tx)
        elif Status.SHADOW in (before.status, status):
            await store.raise_version(tx)
        if action is Action.SHADOW:
            await shadow_store.begin(tx, Watched("campaign", key, version.version), deed.at)
        head = await store.move_head(tx, head, deed.at)
        await store.write_log(tx, _change(version, action, before.status, deed))
    return Registered(head, version)


def led(version: Version, action: Action, status: Status, deed: Deed) -> Version:
    """The version after the action, with who did it. Raises Forbidden for the approval of one's own edit."""
    version = replace(version, status=status, note=deed.reason)
    match action:
        case Action.SUBMIT:
            return replace(version, submitted_by=deed.by)
        case Action.APPROVE:
            lifecycle.check_four_eyes(f"version {version.version}", version.editor, deed.by)
            return replace(version, approved_by=deed.by, approved_at=deed.at)
        case Action.REJECT:
            return replace(version, submitted_by=None, approved_by=None, approved_at=None)
        case Action.SHADOW | Action.ACTIVATE:
            assert version.approved_by is not None, "nothing judges live events without an approval"
            return version
        case Action.PAUSE | Action.STOP:
            return version


async def active_policy(tx: Tx) -> schemas.policy.Policy | None:
    """The document of the active policy, if there is one."""
    number = (await store.state(tx)).active_policy
    version = None if number is None else await store.policy_version(tx, number)
    return None if version is None else validate(schemas.policy.Policy, version.document)


async def _meant(tx: Tx, head: Head, action: Action) -> Version:
    newest = await store.campaign_version(tx, head.key, head.newest)
    assert newest is not None
    waits = newest.status in (Status.APPROVED, Status.SHADOW)
    ends_shadow = newest.status is Status.SHADOW and head.status not in lifecycle.RUNNING
    of_running = action is Action.PAUSE or (action is Action.STOP and not ends_shadow)
    resumes = action is Action.ACTIVATE and not waits and head.status is Status.PAUSED
    if head.active_version is None or not (of_running or resumes):
        return newest
    running = await store.campaign_version(tx, head.key, head.active_version)
    assert running is not None
    return running


async def _replace_former(tx: Tx, head: Head, deed: Deed) -> None:
    former = await store.campaign_version(tx, head.key, head.active_version or 0)
    assert former is not None
    await store.write_status(tx, "campaign", replace(former, status=Status.REPLACED))
    await store.write_log(tx, _change(replace(former, status=Status.REPLACED), "replace", former.status, deed))


def _change(version: Version, action: str, before: Status | None, deed: Deed) -> Change:
    return Change(
        "campaign", version.key, version.version, action, before, version.status, deed.by, deed.reason, deed.at
    )
