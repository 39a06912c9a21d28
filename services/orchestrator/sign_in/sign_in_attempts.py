"""Sign-ins that have begun: what binds the provider's answer to the browser that asked, once, within ten minutes.

The browser's cookie has a secret, of which the database has the digest alone. `state`, `nonce` and the verifier of PKCE
(RFC 7636) are derived from it, so an answer that belongs to another browser, or was used already, fits nothing.
"""

import base64
import hmac
import secrets
from hashlib import sha256
from typing import Final, NamedTuple
from urllib.parse import unquote, urlsplit

from schemas.times import MINUTE
from services.kit.db.database import Database
from services.kit.errors import Forbidden
from services.kit.runtime.clock import Clock
from services.orchestrator.sign_in import store

ATTEMPT_LIFETIME: Final = 10 * MINUTE
_MAX_PATH: Final = 2000


class StateRefused(Forbidden):
    """The provider's answer is not to a sign-in that this browser has begun and not yet ended."""

    default_code = "state_refused"


class SignInAttempt(NamedTuple):
    """One sign-in of one browser. `secret`: what its cookie holds."""

    secret: str

    @property
    def state(self) -> str:
        """What the provider sends back."""
        return self._derive("state")

    @property
    def nonce(self) -> str:
        """What the ID token holds."""
        return self._derive("nonce")

    @property
    def verifier(self) -> str:
        """What proves that whoever exchanges the code has asked for it."""
        return self._derive("verifier")

    @property
    def challenge(self) -> str:
        """The SHA-256 of the verifier, which the provider gets beforehand."""
        return _base64url(sha256(self.verifier.encode()).digest())

    def _derive(self, purpose: str) -> str:
        return _base64url(hmac.new(self.secret.encode(), f"tactful sign-in {purpose}".encode(), sha256).digest())


class SignInAttempts:
    """Sign-ins, in the database."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def begin(self, next_path: str) -> SignInAttempt:
        """Begins a sign-in that leads to this page."""
        attempt, now = SignInAttempt(secrets.token_urlsafe(32)), self._clock.now()
        async with self._database.write() as tx:
            await store.insert_attempt(tx, _hash_cookie(attempt.secret), next_path, now + ATTEMPT_LIFETIME, now)
        return attempt

    async def finish_attempt(self, secret: str, state: str) -> tuple[SignInAttempt, str]:
        """Ends the sign-in that a state belongs to, whatever comes of it. Returns it with the page that it leads to.

        Raises StateRefused.
        """
        attempt = SignInAttempt(secret)
        if not secret or not hmac.compare_digest(state.encode(), attempt.state.encode()):
            raise StateRefused("the state is not that of this browser")
        async with self._database.write() as tx:
            next_path = await store.take_attempt(tx, _hash_cookie(secret), self._clock.now())
        if next_path is None:
            raise StateRefused("this sign-in was used, or took too long")
        return attempt, next_path


def console_path(text: str, home: str, entrance: str) -> str:
    """The page of the console that `next` names, or `home`: nobody is led anywhere else, nor back to the `entrance`."""
    parts, segments = urlsplit(text), unquote(text.partition("?")[0]).split("/")
    is_plain = all(33 <= ord(each) < 127 and each not in '\\"<>' for each in text) and len(text) <= _MAX_PATH
    is_inside = text.startswith(home) and not parts.scheme and not parts.netloc and not parts.fragment
    has_dots = any(each in (".", "..") or "\\" in each for each in segments)
    if not is_plain or not is_inside or has_dots or "//" in parts.path or parts.path.startswith(entrance):
        return home
    return text


def _hash_cookie(secret: str) -> str:
    return sha256(secret.encode()).hexdigest()


def _base64url(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()
