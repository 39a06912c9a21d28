"""Access tokens of a service account (RFC 7523): asked for by one request at once, and renewed before they end.

A request for a token is no handover: nobody is contacted by it, so it asks no first-byte guard and may be repeated.
"""

import asyncio
from typing import Final
from urllib.parse import urlencode

import msgspec

from schemas.message import HandoverFault
from schemas.times import SECOND, Instant
from services.kit.http.outbound import OutboundGuard
from services.kit.runtime.clock import Clock
from services.orchestrator.delivery.adapters.fcm.service_account import ServiceAccount
from services.orchestrator.delivery.adapters.provider_http import (
    HttpLimits,
    NoAnswer,
    NotWritten,
    ProviderAnswer,
    ProviderClient,
    parse_retry_after,
)
from services.orchestrator.delivery.adapters.signed_token import sign_token

SCOPE: Final = "https://www.googleapis.com/auth/firebase.messaging"
ASSERTION_SECONDS: Final = 3600
"""How long what we sign is valid: the most that Google takes."""
RENEWED_AFTER: Final = 0.8
"""The share of a token's life after which the next one is asked for."""
MIN_AGE: Final = 60
"""Seconds: a token that is refused earlier is not the fault of its age."""
REFUSED_SECONDS: Final = 5
"""Seconds for which a failure is answered without another request."""
_GRANT: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_MAX_TOKEN_SECONDS: Final = 3600.0


class AccessTokenRefused(Exception):
    """There is no token. Its text names the cause. `fault`: account where the service account is refused."""

    def __init__(self, detail: str, fault: HandoverFault | None = None, wait: float | None = None) -> None:
        super().__init__(detail)
        self.fault, self.wait = fault, wait


class _GoogleAnswer(msgspec.Struct):
    access_token: str
    expires_in: float = _MAX_TOKEN_SECONDS


class _NoFirstByteGuard:
    """For requests that contact nobody."""

    def before(self, message_id: str) -> None:
        """Agrees."""

    def after(self, message_id: str) -> None:
        """Notes nothing."""


class AccessTokens:
    """The tokens of one account."""

    def __init__(self, account: ServiceAccount, outbound: OutboundGuard, timeout: float, clock: Clock) -> None:
        """`timeout`: seconds that an answer may take. Raises ValueError for a `token_uri` that must not be called."""
        self._account, self._clock = account, clock
        self._server = ProviderClient(account.token_uri, outbound, HttpLimits(timeout, concurrency=1))
        self._lock = asyncio.Lock()
        self._token = ""
        self._made_at = self._renew_at = self._valid_until = self._silent_until = 0
        self._refused = AccessTokenRefused("no token")

    async def close(self) -> None:
        """Closes the connection."""
        await self._server.close()

    def drop_token(self, token: str) -> None:
        """Asks for another token next time, because this one was refused; not if it is new: the next would be too."""
        if token == self._token and self._clock.now() - self._made_at >= MIN_AGE * SECOND:
            self._token = ""

    async def get_token(self) -> str:
        """A token that is valid for a while. Raises AccessTokenRefused."""
        async with self._lock:
            now = self._clock.now()
            if not self._token or now >= self._renew_at:
                await self._renew(now)
            return self._token

    async def _renew(self, now: Instant) -> None:
        try:
            if now < self._silent_until:
                raise self._refused
            answer = await self._ask(now)
        except AccessTokenRefused as error:
            if now >= self._silent_until:
                self._refused, self._silent_until = error, now + REFUSED_SECONDS * SECOND
            if self._token and now < self._valid_until:
                return
            raise AccessTokenRefused(str(error), error.fault, error.wait) from None
        life = min(max(answer.expires_in, 0.0), _MAX_TOKEN_SECONDS)
        self._token, self._made_at = answer.access_token, now
        self._renew_at, self._valid_until = now + int(life * RENEWED_AFTER * SECOND), now + int(life * SECOND)

    async def _ask(self, now: Instant) -> _GoogleAnswer:
        form = urlencode({"grant_type": _GRANT, "assertion": self._sign(now)}).encode()
        kind = "application/x-www-form-urlencoded"
        try:
            answer = await self._server.post("", form, {}, "token", _NoFirstByteGuard(), kind)
        except (NotWritten, NoAnswer) as error:
            raise AccessTokenRefused(f"no token, {error}") from None
        if answer.status != 200:
            raise _refusal(answer, now)
        try:
            found = msgspec.json.decode(answer.body or b"", type=_GoogleAnswer)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise AccessTokenRefused("no token, unreadable") from None
        if not (found.access_token.isascii() and found.access_token.isprintable()):
            raise AccessTokenRefused("no token, unreadable")
        return found

    def _sign(self, now: Instant) -> str:
        account, seconds = self._account, now // SECOND
        claims = {
            "iss": account.email,
            "scope": SCOPE,
            "aud": account.token_uri,
            "iat": seconds,
            "exp": seconds + ASSERTION_SECONDS,
        }
        return sign_token(account.key, claims, {"kid": account.key_id} if account.key_id else None)


def _refusal(answer: ProviderAnswer, now: Instant) -> AccessTokenRefused:
    """400 and 401 mean the account: its key was deleted, or our clock is wrong by more than some minutes."""
    wait = parse_retry_after(answer.headers.get("retry-after"), now)
    is_account = 300 <= answer.status < 500 and answer.status not in (408, 425, 429)
    return AccessTokenRefused(f"no token, status {answer.status}", "account" if is_account else None, wait)
