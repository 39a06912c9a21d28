"""API keys: creation, revocation, and look-up by the digest of what a caller presents."""

import secrets
from contextlib import suppress

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
        """Returns the owner of a key, or None if it is unknown, revoked or expired. Raises Transient if the database is
        unreachable.
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
        return Principal(key.name, key.role, key.id, key.sources)


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
) -> tuple[ApiKey, str]:
    """Creates a key. Returns it with its plain text, which is not stored and cannot be shown again.

    Raises NameTaken for a name that people may take for another key's. The same name is the same person or program.
    """
    async with database.write() as tx:
        names = [ADMIN_NAME, *await store.list_key_names(tx)]
        alike = [each for each in names if skeleton(each) == skeleton(name) and each != name]
        if alike:
            raise NameTaken(f"the name looks like `{alike[0]}`, which another key has; use that name, or another one")
        return await _insert_key(tx, name, role, expires, sources, "create", actor, now)


async def rotate_key(database: Database, id: str, overlap: int, actor: str, now: Instant) -> tuple[ApiKey, str]:
    """Creates a key in place of another, of the same name, role and sources; the old one works for `overlap`
    microseconds more.

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
        return await _insert_key(tx, old.name, old.role, expires, old.sources, "rotate", actor, now)


async def _insert_key(
    tx: Tx,
    name: str,
    role: Role,
    expires: Instant | None,
    sources: tuple[str, ...],
    action: str,
    actor: str,
    now: Instant,
) -> tuple[ApiKey, str]:
    generated = generate_key()
    id = f"key_{secrets.token_hex(8)}"
    key = ApiKey(id, name, role, generated.prefix, now, actor, expires=expires, sources=sources)
    await store.insert_key(tx, key, generated.digest)
    entry = catalogue_store.CatalogueLogEntry("key", key.id, None, action, None, "valid", actor, None, now)
    await catalogue_store.append_log_entry(tx, entry)
    return key, generated.plain_text


async def revoke_key(database: Database, id: str, actor: str, now: Instant) -> None:
    """Revokes a key at once; does nothing if it is revoked already. Raises NotFound."""
    async with database.write() as tx:
        if await store.get_key_by_id(tx, id) is None:
            raise NotFound(f"there is no key `{id}`")
        if await store.mark_key_revoked(tx, id, now):
            await catalogue_store.append_log_entry(
                tx, catalogue_store.CatalogueLogEntry("key", id, None, "revoke", "valid", "revoked", actor, None, now)
            )
