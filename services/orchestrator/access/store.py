"""SQL of API keys. Only the digest of a key is stored."""

import json
from dataclasses import dataclass
from typing import Any

from schemas.campaign_scope import ALL_CAMPAIGNS, CampaignScope
from schemas.four_eyes import KeyOrigin
from schemas.roles import Role
from schemas.times import MINUTE, Instant
from services.kit.db.database import Tx

LAST_USE_INTERVAL = MINUTE
"""Microseconds between two updates of a key's last use."""


@dataclass(frozen=True, slots=True)
class ApiKey:
    """An API key, identified to people by its prefix. `name` and `created_by` are names of people or programs.

    `sources`: the sources of events that it is bound to; empty for one that is not bound. `person`: who holds it; None
    for a program's. `created_by_id`: the key with which it was made; None where an earlier version did not keep it.
    `scope`: the campaigns that it may change.
    """

    id: str
    name: str
    role: Role
    prefix: str
    created: Instant
    created_by: str
    revoked: Instant | None = None
    last_used: Instant | None = None
    expires: Instant | None = None
    sources: tuple[str, ...] = ()
    person: str | None = None
    created_by_id: str | None = None
    scope: CampaignScope = ALL_CAMPAIGNS

    def is_valid(self, now: Instant) -> bool:
        """Whether it still opens anything."""
        return self.revoked is None and (self.expires is None or now < self.expires)


_KEY_COLUMNS = (
    "id, name, role, prefix, created, created_by, revoked, last_used, expires, sources, person, created_by_id, topics,"
    " owners"
)


def pack_texts(texts: tuple[str, ...]) -> str | None:
    """Texts as they are stored: a JSON array, or NULL for none."""
    return json.dumps(texts) if texts else None


def read_scope(row: Any) -> CampaignScope:
    """The scope in `topics` and `owners` of a row."""
    return CampaignScope(tuple(json.loads(row.topics or "[]")), tuple(json.loads(row.owners or "[]")))


def _to_api_key(row: Any) -> ApiKey:
    return ApiKey(
        *(row.id, row.name, Role(row.role), row.prefix, row.created, row.created_by),
        *(row.revoked, row.last_used, row.expires, tuple(json.loads(row.sources or "[]"))),
        person=row.person,
        created_by_id=row.created_by_id,
        scope=read_scope(row),
    )


async def insert_key(tx: Tx, key: ApiKey, digest: str) -> None:
    """Stores a new key."""
    await tx.execute(
        f"INSERT INTO api_key ({_KEY_COLUMNS}, digest)"
        " VALUES (:id, :name, :role, :prefix, :created, :created_by, :revoked, :last_used, :expires, :sources,"
        " :person, :created_by_id, :topics, :owners, :digest)",
        **{field: getattr(key, field) for field in ApiKey.__slots__ if field not in ("sources", "scope")},
        sources=pack_texts(key.sources),
        topics=pack_texts(key.scope.topics),
        owners=pack_texts(key.scope.owners),
        digest=digest,
    )


async def get_key_by_digest(tx: Tx, digest: str) -> ApiKey | None:
    """Returns the key with this digest, unless it is revoked or belongs to a person who is disabled."""
    row = await tx.row(
        f"SELECT {_KEY_COLUMNS} FROM api_key WHERE digest = :digest AND revoked IS NULL AND NOT EXISTS"
        " (SELECT 1 FROM person WHERE person.name = api_key.person AND person.disabled IS NOT NULL)",
        digest=digest,
    )
    return None if row is None else _to_api_key(row)


async def get_key_by_id(tx: Tx, id: str) -> ApiKey | None:
    """Returns the key with this id, revoked or not."""
    row = await tx.row(f"SELECT {_KEY_COLUMNS} FROM api_key WHERE id = :id", id=id)
    return None if row is None else _to_api_key(row)


async def list_keys_after(tx: Tx, created: Instant, id: str, limit: int) -> list[ApiKey]:
    """Returns keys created after the given one, oldest first."""
    rows = await tx.rows(
        f"SELECT {_KEY_COLUMNS} FROM api_key WHERE created > :created OR (created = :created AND id > :id)"
        " ORDER BY created, id LIMIT :limit",
        created=created,
        id=id,
        limit=limit,
    )
    return [_to_api_key(row) for row in rows]


async def list_key_holders(tx: Tx) -> list[tuple[str, str | None]]:
    """Returns name and person of all keys there ever were, and of people who have signed in, each pair once."""
    rows = await tx.rows("SELECT name, person FROM api_key UNION SELECT name, name FROM person ORDER BY 1, 2")
    return [(row.name, row.person) for row in rows]


async def list_key_origins(tx: Tx) -> list[KeyOrigin]:
    """Returns for all keys there ever were who holds them, and who made them with which key.

    Whoever has signed in by the company's sign-in is among them, like a key that nobody but themselves has seen.
    """
    rows = await tx.rows(
        "SELECT id, name, person, created_by, created_by_id FROM api_key"
        " UNION ALL SELECT id, name, name, name, id FROM person"
    )
    return [KeyOrigin(*tuple(row)) for row in rows]


async def set_expiry(tx: Tx, id: str, expires: Instant) -> None:
    """Lets a key expire at this instant, or earlier if it does already."""
    await tx.execute(
        "UPDATE api_key SET expires = :expires WHERE id = :id AND (expires IS NULL OR expires > :expires)",
        id=id,
        expires=expires,
    )


async def mark_key_revoked(tx: Tx, id: str, now: Instant) -> bool:
    """Revokes a key. Returns whether it was valid until now."""
    return await tx.execute("UPDATE api_key SET revoked = :now WHERE id = :id AND revoked IS NULL", id=id, now=now) == 1


async def record_key_use(tx: Tx, id: str, now: Instant) -> None:
    """Records the use of a key, at most once a minute."""
    await tx.execute(
        "UPDATE api_key SET last_used = :now WHERE id = :id AND (last_used IS NULL OR last_used <= :before)",
        id=id,
        now=now,
        before=now - LAST_USE_INTERVAL,
    )
