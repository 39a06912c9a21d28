"""API keys: creation, revocation, and look-up by the digest of what a caller presents."""

import secrets
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

from schemas.campaign_scope import ALL_CAMPAIGNS, CampaignScope
from schemas.key_names import skeleton
from schemas.roles import Role
from schemas.times import Instant
from services.kit.db.database import Database, Tx
from services.kit.errors import Conflict, NotFound, Transient, WrongState
from services.kit.http.auth import ADMIN_NAME, Principal, generate_key
from services.kit.runtime.clock import Clock
from services.orchestrator.access import store
from services.orchestrator.access.store import ApiKey
from services.orchestrator.campaigns import store as catalogue_store

KEY_CHECK_SECONDS = 2.0
"""Seconds that the database may take to find a key: every request waits for it, and has more to do afterwards."""


class DatabaseKeyRing:
    """The key ring over the table `api_key`."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def find_principal(self, digest: str) -> Principal | None:
        """Returns the owner of a key, or None if it is unknown, revoked or expired, or its person is disabled. Raises
        Transient if the database is unreachable.
        """
        async with self._database.answering_within(KEY_CHECK_SECONDS), self._database.read() as tx:
            key = await store.get_key_by_digest(tx, digest)
        now = self._clock.now()
        if key is None or not key.is_valid(now):
            return None
        if key.last_used is None or now - key.last_used >= store.LAST_USE_INTERVAL:
            with suppress(Transient):  # a key stays valid while its last use cannot be recorded
                async with self._database.answering_within(KEY_CHECK_SECONDS), self._database.write() as tx:
                    await store.record_key_use(tx, key.id, now)
        return Principal(key.name, key.role, key.id, key.sources, key.person, key.scope)


class NameTaken(Conflict):
    """The name looks like that of another key, which may be of another person."""

    default_code = "name_taken"


async def create_key(
    database: Database,
    name: str,
    role: Role,
    actor: str,
    now: Instant,
    *,
    expires: Instant | None = None,
    sources: tuple[str, ...] = (),
    person: str | None = None,
    actor_id: str | None = None,
    scope: CampaignScope = ALL_CAMPAIGNS,
) -> tuple[ApiKey, str]:
    """Creates a key. Returns it with its plain text, which is not stored and cannot be shown again.

    `person`: who holds it; None for a program's. `actor_id`: the key with which it is made. `scope`: the campaigns that
    it may change.

    Raises NameTaken for a name or a person that people may take for another key's, and for a name that a key of another
    person has. The same name is the same person or program.
    """
    async with database.write() as tx:
        check_holder(name, person, await store.list_key_holders(tx))
        key = replace(_unstored_key(name, role, now, actor, actor_id, expires, sources, person), scope=scope)
        return key, await _insert_key(tx, key, "create")


def check_holder(name: str, person: str | None, holders: Sequence[tuple[str, str | None]]) -> None:
    """Raises NameTaken where people may take a name for one of the holders', or it is that of another person's key."""
    taken = [ADMIN_NAME, *(each for holder in holders for each in holder if each is not None)]
    for mine in filter(None, (name, person)):
        alike = [each for each in taken if skeleton(each) == skeleton(mine) and each != mine]
        if alike:
            detail = f"`{mine}` looks like `{alike[0]}`, which another key has; use that name, or another one"
            raise NameTaken(detail)
    others = [other for each, other in holders if each == name and other is not None]
    if person is not None and others and person not in others:
        raise NameTaken(f"a key with the name `{name}` belongs to {others[0]}; use another name")


def _unstored_key(
    name: str,
    role: Role,
    now: Instant,
    actor: str,
    actor_id: str | None,
    expires: Instant | None,
    sources: tuple[str, ...],
    person: str | None,
) -> ApiKey:
    """A key that is not stored yet; its prefix is that of the plain text, made when it is stored."""
    id = f"key_{secrets.token_hex(8)}"
    return ApiKey(
        id, name, role, "", now, actor, expires=expires, sources=sources, person=person, created_by_id=actor_id
    )


async def rotate_key(
    database: Database, id: str, overlap: int, actor: str, now: Instant, *, actor_id: str | None = None
) -> tuple[ApiKey, str]:
    """Creates a key in place of another, of the same name, person, role, sources and scope; the old one works for
    `overlap` microseconds more.

    A key that expires is followed by one that lasts as long. Raises NotFound, and WrongState for a key that is over.
    """
    async with database.write() as tx:
        old = await store.get_key_by_id(tx, id)
        if old is None:
            raise NotFound(f"there is no key `{id}`")
        if not old.is_valid(now):
            raise WrongState("this key is revoked or expired; create another one")
        expires = None if old.expires is None else now + (old.expires - old.created)
        await store.set_expiry(tx, id, now + overlap)
        key = _unstored_key(old.name, old.role, now, actor, actor_id, expires, old.sources, old.person)
        key = replace(key, scope=old.scope)
        return key, await _insert_key(tx, key, "rotate")


async def _insert_key(tx: Tx, key: ApiKey, action: str) -> str:
    """Stores a key, and returns its plain text."""
    generated = generate_key()
    await store.insert_key(tx, replace(key, prefix=generated.prefix), generated.digest)
    entry = catalogue_store.CatalogueLogEntry(
        "key", key.id, None, action, None, "valid", key.created_by, None, key.created
    )
    await catalogue_store.append_log_entry(tx, entry)
    return generated.plain_text


async def revoke_key(database: Database, id: str, actor: str, now: Instant) -> None:
    """Revokes a key at once; does nothing if it is revoked already. Raises NotFound."""
    async with database.write() as tx:
        if await store.get_key_by_id(tx, id) is None:
            raise NotFound(f"there is no key `{id}`")
        if await store.mark_key_revoked(tx, id, now):
            await catalogue_store.append_log_entry(
                tx, catalogue_store.CatalogueLogEntry("key", id, None, "revoke", "valid", "revoked", actor, None, now)
            )
