"""SQL of campaign and policy versions. Every function runs in the caller's transaction."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from schemas.times import Instant
from schemas.vocabulary import CampaignStatus as Status
from services.kit.db.database import Tx

Noun: TypeAlias = Literal["campaign", "policy"]
POLICY_KEY = "policy"
"""The key of the one policy in the log."""


@dataclass(frozen=True, slots=True)
class DocumentVersion:
    """A version of a campaign or of the policy. `document` is as written. `editor_id`: the key it was edited with; None
    where an earlier version of Tactful did not keep it.
    """

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
    editor_id: str | None = None


@dataclass(frozen=True, slots=True)
class CampaignHead:
    """A campaign as a whole: its newest version, and the version that is or was last active, with its status."""

    key: str
    revision: int
    newest: int
    active_version: int | None
    status: Status | None


@dataclass(frozen=True, slots=True)
class CatalogueState:
    """The catalogue as a whole. `version` increases with every change that affects decisions."""

    version: int
    policy_revision: int
    active_policy: int | None


@dataclass(frozen=True, slots=True)
class CatalogueLogEntry:
    """An entry of the catalogue log: who did what to which version. `version` is None for keys."""

    noun: str
    key: str
    version: int | None
    action: str
    before: str | None
    after: str | None
    by: str
    reason: str | None
    at: Instant


_VERSION_COLUMNS = "version, status, document, editor, submitted_by, approved_by, approved_at, note, created, editor_id"
_HEAD_COLUMNS = "key, revision, newest, active_version, status"


def _to_version(key: str, row: Any) -> DocumentVersion:
    return DocumentVersion(
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
        editor_id=row.editor_id,
    )


def _to_head(row: Any) -> CampaignHead:
    return CampaignHead(
        row.key, row.revision, row.newest, row.active_version, Status(row.status) if row.status else None
    )


async def get_catalogue_state(tx: Tx, *, lock: bool = False) -> CatalogueState:
    """Returns the catalogue's state. With `lock`, other transactions cannot change the policy until this one ends."""
    row = await tx.row(
        "SELECT version, policy_revision, active_policy FROM catalogue_state WHERE id = 1"
        f" {tx.for_update if lock else ''}"
    )
    assert row is not None, "migration 0002 writes this row"
    return CatalogueState(row.version, row.policy_revision, row.active_policy)


async def increment_catalogue_version(tx: Tx) -> None:
    """Signals that decisions must reload the catalogue."""
    # The row stays locked until the transaction ends, so catalogue changes commit one after another, in the order of
    # their versions. Lock it last: whoever holds it waits for no campaign.
    await tx.execute("UPDATE catalogue_state SET version = version + 1 WHERE id = 1")


async def append_log_entry(tx: Tx, change: CatalogueLogEntry) -> None:
    """Appends an entry to the log."""
    await tx.execute(
        'INSERT INTO catalogue_log (noun, key, version, action, "before", "after", "by", reason, at)'
        " VALUES (:noun, :key, :version, :action, :before, :after, :by, :reason, :at)",
        **{field: getattr(change, field) for field in CatalogueLogEntry.__slots__},
    )


async def list_log_entries(tx: Tx, noun: str, key: str) -> list[CatalogueLogEntry]:
    """Returns the log of one key, oldest first."""
    rows = await tx.rows(
        'SELECT noun, key, version, action, "before", "after", "by", reason, at FROM catalogue_log'
        " WHERE noun = :noun AND key = :key ORDER BY seq",
        noun=noun,
        key=key,
    )
    return [CatalogueLogEntry(*tuple(row)) for row in rows]


async def get_head(tx: Tx, key: str) -> CampaignHead | None:
    """Returns the campaign with this key."""
    row = await tx.row(f"SELECT {_HEAD_COLUMNS} FROM campaign WHERE key = :key", key=key)
    return None if row is None else _to_head(row)


async def lock_head(tx: Tx, key: str) -> CampaignHead | None:
    """Returns the campaign with this key, locked until this transaction ends."""
    row = await tx.row(f"SELECT {_HEAD_COLUMNS} FROM campaign WHERE key = :key {tx.for_update}", key=key)
    return None if row is None else _to_head(row)


async def get_or_create_head(tx: Tx, key: str, now: Instant) -> CampaignHead:
    """Returns the campaign with this key, locked. A new one has revision 0 and no version yet."""
    # Insert first, then lock: two first registrations of a key at the same time both end up waiting for the one row.
    await tx.execute(
        "INSERT INTO campaign (key, revision, newest, active_version, status, updated)"
        " VALUES (:key, 0, 0, NULL, NULL, :now) ON CONFLICT (key) DO NOTHING",
        key=key,
        now=now,
    )
    head = await lock_head(tx, key)
    assert head is not None
    return head


async def update_head(tx: Tx, head: CampaignHead, now: Instant) -> CampaignHead:
    """Writes the head with the next revision, and returns it."""
    await tx.execute(
        "UPDATE campaign SET revision = revision + 1, newest = :newest, active_version = :active, status = :status,"
        " updated = :now WHERE key = :key",
        key=head.key,
        newest=head.newest,
        active=head.active_version,
        status=head.status,
        now=now,
    )
    return CampaignHead(head.key, head.revision + 1, head.newest, head.active_version, head.status)


async def list_heads(tx: Tx, after: str, limit: int) -> list[tuple[CampaignHead, DocumentVersion]]:
    """Returns campaigns with their newest versions, in order of key, after `after`."""
    columns = ", ".join(f"v.{name.strip()}" for name in _VERSION_COLUMNS.split(","))
    rows = await tx.rows(
        "SELECT c.key, c.revision, c.newest, c.active_version, c.status AS running,"
        f" {columns} FROM campaign c JOIN campaign_version v ON v.key = c.key AND v.version = c.newest"
        " WHERE c.key > :after ORDER BY c.key LIMIT :limit",
        after=after,
        limit=limit,
    )
    return [
        (
            CampaignHead(
                row.key, row.revision, row.newest, row.active_version, Status(row.running) if row.running else None
            ),
            _to_version(row.key, row),
        )
        for row in rows
    ]


async def list_keys(tx: Tx) -> list[str]:
    """Returns the keys of all campaigns."""
    return [row.key for row in await tx.rows("SELECT key FROM campaign ORDER BY key")]


async def get_campaign_version(tx: Tx, key: str, version: int) -> DocumentVersion | None:
    """Returns one version of a campaign."""
    row = await tx.row(
        f"SELECT {_VERSION_COLUMNS} FROM campaign_version WHERE key = :key AND version = :version",
        key=key,
        version=version,
    )
    return None if row is None else _to_version(key, row)


async def list_campaign_versions(tx: Tx, key: str, before: int, limit: int) -> list[DocumentVersion]:
    """Returns a campaign's versions below `before`, newest first."""
    rows = await tx.rows(
        f"SELECT {_VERSION_COLUMNS} FROM campaign_version WHERE key = :key AND version < :before"
        " ORDER BY version DESC LIMIT :limit",
        key=key,
        before=before,
        limit=limit,
    )
    return [_to_version(key, row) for row in rows]


async def list_launched_versions(tx: Tx) -> list[DocumentVersion]:
    """Returns every campaign version that is active, paused, or was stopped, with that status."""
    return await _list_versions_where(tx, "v.version = c.active_version")


async def list_shadow_versions(tx: Tx) -> list[DocumentVersion]:
    """Returns the newest version in shadow of every campaign."""
    return await _list_versions_where(tx, "v.version = c.newest AND v.status = 'shadow'")


async def _list_versions_where(tx: Tx, condition: str) -> list[DocumentVersion]:
    columns = ", ".join(f"v.{name.strip()}" for name in _VERSION_COLUMNS.split(","))
    rows = await tx.rows(
        f"SELECT c.key, {columns} FROM campaign c "
        f"JOIN campaign_version v ON v.key = c.key AND {condition} ORDER BY c.key"
    )
    return [_to_version(row.key, row) for row in rows]


async def get_transactional_flags(tx: Tx, keys: Sequence[str]) -> dict[str, bool]:
    """For those campaigns that exist, returns whether the newest version is transactional."""
    rows = await tx.rows(
        "SELECT v.key, v.document FROM campaign c JOIN campaign_version v ON v.key = c.key AND v.version = c.newest"
        f" WHERE {tx.in_list('c.key', 'keys')}",
        keys=tx.list_parameter(keys),
    )
    return {row.key: json.loads(row.document)["class"] == "transactional" for row in rows}


async def get_policy_version(tx: Tx, version: int) -> DocumentVersion | None:
    """Returns one version of the policy."""
    row = await tx.row(f"SELECT {_VERSION_COLUMNS} FROM policy_version WHERE version = :version", version=version)
    return None if row is None else _to_version(POLICY_KEY, row)


async def get_shadow_policy_version(tx: Tx) -> DocumentVersion | None:
    """Returns the policy version in shadow."""
    row = await tx.row(f"SELECT {_VERSION_COLUMNS} FROM policy_version WHERE status = 'shadow' ORDER BY version DESC")
    return None if row is None else _to_version(POLICY_KEY, row)


async def list_policy_versions(tx: Tx, before: int, limit: int) -> list[DocumentVersion]:
    """Returns versions of the policy below `before`, newest first."""
    rows = await tx.rows(
        f"SELECT {_VERSION_COLUMNS} FROM policy_version WHERE version < :before ORDER BY version DESC LIMIT :limit",
        before=before,
        limit=limit,
    )
    return [_to_version(POLICY_KEY, row) for row in rows]


async def update_policy_state(tx: Tx, active: int | None, *, decisions_must_reload: bool) -> int:
    """Increments the policy's revision and sets its active version; Returns the revision.

    `decisions_must_reload`: whether the change affects decisions.
    """
    await tx.execute(
        "UPDATE catalogue_state SET policy_revision = policy_revision + 1, version = version + :reload,"
        " active_policy = :active WHERE id = 1",
        active=active,
        reload=int(decisions_must_reload),
    )
    return (await get_catalogue_state(tx)).policy_revision


async def insert_version(tx: Tx, noun: Noun, version: DocumentVersion) -> None:
    """Inserts a new version."""
    key, params = _key_and_params(noun, version)
    await tx.execute(
        f"INSERT INTO {noun}_version ({'key, ' if key else ''}{_VERSION_COLUMNS}) "
        f"VALUES ({':key, ' if key else ''}:version,"
        " :status, :document, :editor, :submitted_by, :approved_by, :approved_at, :note, :created,"
        " :editor_id)",
        **params,
        document=json.dumps(version.document, ensure_ascii=False),
        editor=version.editor,
        created=version.created,
        editor_id=version.editor_id,
    )


async def update_version_status(tx: Tx, noun: Noun, version: DocumentVersion) -> None:
    """Writes a version's status, submitter and approver. The document is never rewritten."""
    key, params = _key_and_params(noun, version)
    await tx.execute(
        f"UPDATE {noun}_version SET status = :status, submitted_by = :submitted_by, approved_by = :approved_by,"
        f" approved_at = :approved_at, note = :note WHERE version = :version {key}",
        **params,
    )


def _key_and_params(noun: Noun, version: DocumentVersion) -> tuple[str, dict[str, Any]]:
    params = {
        "version": version.version,
        "status": version.status,
        "submitted_by": version.submitted_by,
        "approved_by": version.approved_by,
        "approved_at": version.approved_at,
        "note": version.note,
    }
    return ("AND key = :key", {**params, "key": version.key}) if noun == "campaign" else ("", params)
