"""API keys: creation, revocation, and look-up by the digest of what a caller presents."""

import secrets
from contextlib import suppress

from schemas.roles import Role
from schemas.times import Instant
from services.kit.db.database import Database
from services.kit.errors import NotFound, Transient
from services.kit.http.auth import Principal, generate_key
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
        """Returns the owner of a key, or None if it is unknown or revoked. Raises Transient if the database is
        unreachable.
        """
        async with self._database.answering_within(KEY_CHECK_SECONDS), self._database.read() as tx:
            key = await store.get_key_by_digest(tx, digest)
        if key is None:
            return None
        now = self._clock.now()
        if key.last_used is None or now - key.last_used >= store.LAST_USE_INTERVAL:
            with suppress(Transient):  # a key stays valid while its last use cannot be recorded
                async with self._database.answering_within(KEY_CHECK_SECONDS), self._database.write() as tx:
                    await store.record_key_use(tx, key.id, now)
        return Principal(key.name, key.role, key.id)


async def create_key(database: Database, name: str, role: Role, actor: str, now: Instant) -> tuple[ApiKey, str]:
    """Creates a key. Returns it with its plain text, which is not stored and cannot be shown again."""
    generated = generate_key()
    key = ApiKey(f"key_{secrets.token_hex(8)}", name, role, generated.prefix, now, actor)
    async with database.write() as tx:
        await store.insert_key(tx, key, generated.digest)
        await catalogue_store.append_log_entry(
            tx, catalogue_store.CatalogueLogEntry("key", key.id, None, "create", None, "valid", actor, None, now)
        )
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
