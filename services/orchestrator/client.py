"""The door of the orchestrator, for the other services."""

from collections.abc import Sequence

import httpx
import msgspec

from schemas.facts import AttemptScope, OpenAttempts
from schemas.roles import Role
from services.kit import door
from services.kit.auth import Principal

OPEN_ATTEMPTS = "/internal/orchestrator/attempts/open"
STILL_OPEN = "/internal/orchestrator/attempts/still-open"
FIND_KEY = "/internal/orchestrator/keys/find"


class AttemptIds(msgspec.Struct, frozen=True):
    """Attempts that somebody waits for."""

    attempts: tuple[int, ...]


class StillOpen(msgspec.Struct, frozen=True):
    """How many of them are open."""

    count: int


class KeyDigest(msgspec.Struct, frozen=True):
    """SHA-256 in hexadecimal of a key that somebody presented."""

    digest: str


class KeyOwner(msgspec.Struct, frozen=True):
    """Whose key it is."""

    name: str
    role: str
    key_id: str


class FoundKey(msgspec.Struct, frozen=True):
    """The owner, or None when the key is unknown or revoked."""

    owner: KeyOwner | None


class OrchestratorClient:
    """Asks over HTTP, or in process through an ASGI transport. Raises Transient and Permanent: see kit/door.py."""

    def __init__(self, client: httpx.AsyncClient, service_key: str) -> None:
        """`client` knows the base URL."""
        self._client = client
        self._key = service_key

    async def open_attempts(self, scope: AttemptScope) -> OpenAttempts:
        """The attempts of the scope that are open now."""
        return await door.ask(self._client, OPEN_ATTEMPTS, scope, OpenAttempts, key=self._key)

    async def still_open(self, ids: Sequence[int]) -> int:
        """How many of these attempts are still open."""
        answer = await door.ask(self._client, STILL_OPEN, AttemptIds(tuple(ids)), StillOpen, key=self._key)
        return answer.count

    async def find_key(self, digest: str) -> Principal | None:
        """The owner of the key with this digest, for `RemoteKeys`; None when unknown or revoked."""
        answer = await door.ask(self._client, FIND_KEY, KeyDigest(digest), FoundKey, key=self._key)
        owner = answer.owner
        return None if owner is None else Principal(owner.name, Role(owner.role), owner.key_id)
