"""`Idempotency-Key` on POST: one effect and one answer, however often a request is sent.

The first answer is kept for 24 hours per caller and key. A route's guard (auth.py) begins a claim and the middleware
finishes it with the answer; routes do nothing for it. Answers below 500 are kept, except 429; after any other answer
the key is free again, since the request should be repeated.
"""

import asyncio
from dataclasses import dataclass
from hashlib import sha256

import msgspec
from fastapi import Request

from services.kit.db.database import Database, Tx
from services.kit.errors import Conflict, Invalid, Problem

SECOND = 1_000_000
RETENTION = 24 * 3600 * SECOND
CLAIM_TIMEOUT = 120 * SECOND
"""A claim without an answer for this long belongs to a dead process: the next request takes it over."""
CLAIM_SECONDS = 2.0
"""Seconds that the database may take to claim a key: the request has more to do afterwards."""
SCOPE_KEY = "tactful.claim"
_REPLAYED_HEADERS = frozenset({b"content-type", b"etag", b"location"})
_PENDING = 0


class StoredResponse(msgspec.Struct, frozen=True):
    """A stored answer."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes


class ReplayResponse(Exception):
    """Not a failure: the request was answered before; carries that answer."""

    def __init__(self, response: StoredResponse) -> None:
        super().__init__("answered before")
        self.response = response


class IdempotencyUnsupported(Invalid):
    """The route takes no Idempotency-Key, because its answer is not stored."""

    default_code = "idempotency_unsupported"


class IdempotencyKeyInvalid(Invalid):
    """The Idempotency-Key is empty, too long, or not printable ASCII."""

    default_code = "idempotency_key"


class IdempotencyMismatch(Invalid):
    """The Idempotency-Key was used for another request: other path, query, content type or body."""

    default_code = "idempotency_mismatch"


class RequestInProgress(Conflict):
    """The first request with this key is still being processed."""

    default_code = "idempotency_in_progress"
    retry_after = 1.0


@dataclass(frozen=True, slots=True)
class IdempotencyClaim:
    """The right to do the work for one key, since an instant of the database's clock."""

    key: str
    at: int


class IdempotencyStore:
    """Claims and answers in the table `idempotency`."""

    def __init__(self, database: Database, *, wait: float = 5.0) -> None:
        """`wait`: seconds that a second request waits for the first one's answer."""
        self._database = database
        self._wait = wait

    async def claim_request(self, request: Request, principal: str) -> None:
        """Claims the request's key; does nothing for a request without one, or for a method other than POST.

        Raises ReplayResponse (answered before), Invalid `idempotency_mismatch` (same key, other request),
        RequestInProgress.
        """
        header = request.headers.get("idempotency-key")
        if header is None or request.method != "POST":
            return
        if not 1 <= len(header) <= 255 or not header.isascii() or not header.isprintable():
            problem = Problem("/header/idempotency-key", "bad_key", "use 1 to 255 printable ASCII characters")
            raise IdempotencyKeyInvalid("the Idempotency-Key cannot be used", errors=[problem])
        key = sha256(f"{principal}\0{header}".encode()).hexdigest()
        target = f"{request.url.path}?{request.url.query}\0{request.headers.get('content-type', '')}\0"
        fingerprint = sha256(target.encode() + await request.body()).hexdigest()
        request.scope[SCOPE_KEY] = await self._claim(key, principal, fingerprint)

    async def store_response(self, claim: IdempotencyClaim, response: StoredResponse) -> None:
        """Stores the answer for the claim's key, or frees the key if the answer asks for another try."""
        if response.status >= 500 or response.status == 429:
            await self.release_claim(claim)
            return
        kept = msgspec.structs.replace(
            response, headers=tuple(item for item in response.headers if item[0].lower() in _REPLAYED_HEADERS)
        )
        async with self._database.write() as tx:
            await tx.execute(
                "UPDATE idempotency SET status = :status, body = :body WHERE key = :key AND at = :at AND status = 0",
                status=kept.status,
                body=msgspec.msgpack.encode(kept),
                key=claim.key,
                at=claim.at,
            )

    async def release_claim(self, claim: IdempotencyClaim) -> None:
        """Frees the key, because the work failed or never ended."""
        async with self._database.write() as tx:
            await tx.execute(
                "DELETE FROM idempotency WHERE key = :key AND at = :at AND status = 0", key=claim.key, at=claim.at
            )

    async def delete_expired(self) -> int:
        """Deletes entries older than 24 hours; returns how many. For a periodic task."""
        before = await self._database.now() - RETENTION
        async with self._database.write() as tx:
            return await tx.execute("DELETE FROM idempotency WHERE at < :before", before=before)

    async def _claim(self, key: str, principal: str, fingerprint: str) -> IdempotencyClaim:
        deadline = asyncio.get_running_loop().time() + self._wait
        pause = 0.02
        while True:
            async with self._database.answering_within(CLAIM_SECONDS):
                now = await self._database.now()
                async with self._database.write() as tx:
                    claim = await self._try_claim(tx, key, principal, fingerprint, now)
            if claim is not None:
                return claim
            if asyncio.get_running_loop().time() + pause > deadline:
                raise RequestInProgress("the first request with this Idempotency-Key is still at work; try again")
            await asyncio.sleep(pause)
            pause = min(2 * pause, 0.5)

    async def _try_claim(self, tx: Tx, key: str, principal: str, fingerprint: str, now: int) -> IdempotencyClaim | None:
        await tx.execute(
            "DELETE FROM idempotency WHERE key = :key AND (at < :old OR (status = 0 AND at < :abandoned))",
            key=key,
            old=now - RETENTION,
            abandoned=now - CLAIM_TIMEOUT,
        )
        taken = await tx.execute(
            "INSERT INTO idempotency (key, principal, fingerprint, status, body, at)"
            " VALUES (:key, :principal, :fingerprint, :status, :body, :at) ON CONFLICT (key) DO NOTHING",
            key=key,
            principal=principal,
            fingerprint=fingerprint,
            status=_PENDING,
            body=b"",
            at=now,
        )
        if taken:
            return IdempotencyClaim(key, now)
        row = await tx.row("SELECT fingerprint, status, body FROM idempotency WHERE key = :key", key=key)
        if row is None:
            return None
        if row.fingerprint != fingerprint:
            raise IdempotencyMismatch("this Idempotency-Key was used for another request")
        if row.status != _PENDING:
            raise ReplayResponse(msgspec.msgpack.decode(row.body, type=StoredResponse))
        return None
