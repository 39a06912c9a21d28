"""SQL of the catalogue. Every function runs in the caller's transaction and is named after its question."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from schemas.times import Instant
from schemas.vocabulary import CampaignStatus as Status
from services.kit.db.database import Tx

Noun: TypeAlias = Literal["campaign", "policy"]
POLICY = "policy"
"""The key under which the log knows the one policy."""


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a campaign or of the policy. `document` is as it was written."""

    key: str
    version: int
    status: Status
    document: dict[str, Any]
    editor: str
    submitted_by: str | None
    approved_by: str | None
    approved_at: Instant | None
    note: str | None
    created: Instant


@dataclass(frozen=True, slots=True)
class Head:
    """A campaign as a whole: its newest version, and the one that runs or ran last with its status."""

    key: str
    revision: int
    newest: int
    active_version: int | None
    status: Status | None


@dataclass(frozen=True, slots=True)
class State:
    """The catalogue as a whole. `version` rises with every change that deciding must see."""

    version: int
    policy_revision: int
    active_policy: int | None


@dataclass(frozen=True, slots=True)
class Change:
    """Who did what to which version: a line of the log. `version` is None for keys."""

    noun: str
    key: str
    version: int | None
    action: str
    before: str | None
    after: str | None
    by: str
    reason: str | None
    at: Instant


_VERSION = "version, status, document, editor, submitted_by, approved_by, approved_at, note, created"
_HEAD = "key, revision, newest, active_version, status"


def _version(key: str, row: Any) -> Version:
    return Version(
        key=key,
        version=row.version,
        status=Status(row.status),
        document=json.loads(row.document),
        editor=row.editor,
        submitted_by=row.submitted_by,
        approved_by=row.approved_by,
        approved_at=row.approved_at,
        note=row.note,
        created=row.created,
    )


def _head(row: Any) -> Head:
    return Head(row.key, row.revision, row.newest, row.active_version, Status(row.status) if row.status else None)


async def state(tx: Tx, *, lock: bool = False) -> State:
    """The catalogue's state; with `lock`, nobody else changes the policy until this transaction ends."""
    row = await tx.row(
        "SELECT version, policy_revision, active_policy FROM catalogue_state WHERE id = 1"
        f" {tx.for_update if lock else ''}"
    )
    assert row is not None, "migration 0002 writes this row"
    return State(row.version, row.policy_revision, row.active_policy)


async def raise_version(tx: Tx) -> None:
    """Tell deciding that the catalogue has changed."""
    await tx.run("UPDATE catalogue_state SET version = version + 1 WHERE id = 1")


async def write_log(tx: Tx, change: Change) -> None:
    """Keep who did what."""
    await tx.run(
        'INSERT INTO catalogue_log (noun, key, version, action, "before", "after", "by", reason, at)'
        " VALUES (:noun, :key, :version, :action, :before, :after, :by, :reason, :at)",
        **{field: getattr(change, field) for field in Change.__slots__},
    )


async def log_of(tx: Tx, noun: str, key: str) -> list[Change]:
    """What was done to one thing, oldest first."""
    rows = await tx.rows(
        'SELECT noun, key, version, action, "before", "after", "by", reason, at FROM catalogue_log'
        " WHERE noun = :noun AND key = :key ORDER BY seq",
        noun=noun,
        key=key,
    )
    return [Change(*tuple(row)) for row in rows]


async def head(tx: Tx, key: str) -> Head | None:
    """The campaign of this key."""
    row = await tx.row(f"SELECT {_HEAD} FROM campaign WHERE key = :key", key=key)
    return None if row is None else _head(row)


async def lock_head(tx: Tx, key: str) -> Head | None:
    """The campaign of this key; nobody else changes it until this transaction ends."""
    row = await tx.row(f"SELECT {_HEAD} FROM campaign WHERE key = :key {tx.for_update}", key=key)
    return None if row is None else _head(row)


async def claim_head(tx: Tx, key: str, now: Instant) -> Head:
    """The campaign of this key, locked; a new one has revision 0 and no version yet."""
    await tx.run(
        "INSERT INTO campaign (key, revision, newest, active_version, status, updated)"
        " VALUES (:key, 0, 0, NULL, NULL, :now) ON CONFLICT (key) DO NOTHING",
        key=key,
        now=now,
    )
    found = await lock_head(tx, key)
    assert found is not None
    return found


async def move_head(tx: Tx, head: Head, now: Instant) -> Head:
    """Write the head with the next revision; returns it."""
    await tx.run(
        "UPDATE campaign SET revision = revision + 1, newest = :newest, active_version = :active, status = :status,"
        " updated = :now WHERE key = :key",
        key=head.key,
        newest=head.newest,
        active=head.active_version,
        status=head.status,
        now=now,
    )
    return Head(head.key, head.revision + 1, head.newest, head.active_version, head.status)


async def heads(tx: Tx, after: str, limit: int) -> list[tuple[Head, Version]]:
    """Campaigns with their newest versions, in order of key, from beyond `after`."""
    columns = ", ".join(f"v.{name.strip()}" for name in _VERSION.split(","))
    rows = await tx.rows(
        "SELECT c.key, c.revision, c.newest, c.active_version, c.status AS running,"
        f" {columns} FROM campaign c JOIN campaign_version v ON v.key = c.key AND v.version = c.newest"
        " WHERE c.key > :after ORDER BY c.key LIMIT :limit",
        after=after,
        limit=limit,
    )
    return [
        (
            Head(row.key, row.revision, row.newest, row.active_version, Status(row.running) if row.running else None),
            _version(row.key, row),
        )
        for row in rows
    ]


async def campaign_version(tx: Tx, key: str, version: int) -> Version | None:
    """One version of a campaign."""
    row = await tx.row(
        f"SELECT {_VERSION} FROM campaign_version WHERE key = :key AND version = :version", key=key, version=version
    )
    return None if row is None else _version(key, row)


async def campaign_versions(tx: Tx, key: str, before: int, limit: int) -> list[Version]:
    """A campaign's versions, newest first, from below `before`."""
    rows = await tx.rows(
        f"SELECT {_VERSION} FROM campaign_version WHERE key = :key AND version < :before"
        " ORDER BY version DESC LIMIT :limit",
        key=key,
        before=before,
        limit=limit,
    )
    return [_version(key, row) for row in rows]


async def launched(tx: Tx) -> list[Version]:
    """Every campaign's version that runs, is paused, or was stopped, with that status."""
    return await _of_campaigns(tx, "v.version = c.active_version")


async def in_shadow(tx: Tx) -> list[Version]:
    """Every campaign's version that is in shadow: the newest one."""
    return await _of_campaigns(tx, "v.version = c.newest AND v.status = 'shadow'")


async def _of_campaigns(tx: Tx, wanted: str) -> list[Version]:
    columns = ", ".join(f"v.{name.strip()}" for name in _VERSION.split(","))
    rows = await tx.rows(
        f"SELECT c.key, {columns} FROM campaign c JOIN campaign_version v ON v.key = c.key AND {wanted} ORDER BY c.key"
    )
    return [_version(row.key, row) for row in rows]


async def transactional(tx: Tx, keys: Sequence[str]) -> dict[str, bool]:
    """Of those campaigns that exist, whether the newest version is transactional."""
    rows = await tx.rows(
        "SELECT v.key, v.document FROM campaign c JOIN campaign_version v ON v.key = c.key AND v.version = c.newest"
        f" WHERE {tx.among('c.key', 'keys')}",
        keys=tx.array(keys),
    )
    return {row.key: json.loads(row.document)["class"] == "transactional" for row in rows}


async def policy_version(tx: Tx, version: int) -> Version | None:
    """One version of the policy."""
    row = await tx.row(f"SELECT {_VERSION} FROM policy_version WHERE version = :version", version=version)
    return None if row is None else _version(POLICY, row)


async def policy_in_shadow(tx: Tx) -> Version | None:
    """The version of the policy that is in shadow."""
    row = await tx.row(f"SELECT {_VERSION} FROM policy_version WHERE status = 'shadow' ORDER BY version DESC")
    return None if row is None else _version(POLICY, row)


async def policy_versions(tx: Tx, before: int, limit: int) -> list[Version]:
    """Versions of the policy, newest first, from below `before`."""
    rows = await tx.rows(
        f"SELECT {_VERSION} FROM policy_version WHERE version < :before ORDER BY version DESC LIMIT :limit",
        before=before,
        limit=limit,
    )
    return [_version(POLICY, row) for row in rows]


async def move_policy(tx: Tx, active: int | None, *, seen: bool) -> int:
    """Raise the policy's revision and name its active version; `seen`: deciding must see it. Returns the revision."""
    await tx.run(
        "UPDATE catalogue_state SET policy_revision = policy_revision + 1, version = version + :seen,"
        " active_policy = :active WHERE id = 1",
        active=active,
        seen=int(seen),
    )
    return (await state(tx)).policy_revision


async def add_version(tx: Tx, noun: Noun, version: Version) -> None:
    """Keep a new version."""
    key, bound = _keyed(noun, version)
    await tx.run(
        f"INSERT INTO {noun}_version ({'key, ' if key else ''}{_VERSION}) VALUES ({':key, ' if key else ''}:version,"
        " :status, :document, :editor, :submitted_by, :approved_by, :approved_at, :note, :created)",
        **bound,
        document=json.dumps(version.document, ensure_ascii=False),
        editor=version.editor,
        created=version.created,
    )


async def write_status(tx: Tx, noun: Noun, version: Version) -> None:
    """Write a version's status and who submitted and approved it. The document is never rewritten."""
    key, bound = _keyed(noun, version)
    await tx.run(
        f"UPDATE {noun}_version SET status = :status, submitted_by = :submitted_by, approved_by = :approved_by,"
        f" approved_at = :approved_at, note = :note WHERE version = :version {key}",
        **bound,
    )


def _keyed(noun: Noun, version: Version) -> tuple[str, dict[str, Any]]:
    bound = {
        "version": version.version,
        "status": version.status,
        "submitted_by": version.submitted_by,
        "approved_by": version.approved_by,
        "approved_at": version.approved_at,
        "note": version.note,
    }
    return ("AND key = :key", {**bound, "key": version.key}) if noun == "campaign" else ("", bound)
