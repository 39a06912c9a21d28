"""The token that says which team sends. One for all connections: Apple takes a new one every 20 minutes at most."""

from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec

from schemas.times import SECOND
from services.kit.runtime.clock import Clock
from services.orchestrator.delivery.adapters.signed_token import sign_token

RENEWED_AFTER: Final = 50 * 60
"""Seconds: Apple refuses tokens that are an hour old."""
MIN_AGE: Final = 20 * 60
"""Seconds: Apple refuses a team that makes tokens more often (TooManyProviderTokenUpdates)."""


class ProviderToken:
    """The current token of one key."""

    def __init__(self, key: ec.EllipticCurvePrivateKey, key_id: str, team_id: str, clock: Clock) -> None:
        self._key, self._key_id, self._team_id, self._clock = key, key_id, team_id, clock
        self._token, self._made_at = "", 0

    def get_token(self) -> str:
        """A token of at most 50 minutes."""
        seconds = self._clock.now() // SECOND
        if not self._token or not 0 <= seconds - self._made_at < RENEWED_AFTER:
            self._token = sign_token(self._key, {"iss": self._team_id, "iat": seconds}, {"kid": self._key_id})
            self._made_at = seconds
        return self._token

    def expire(self, token: str) -> None:
        """Makes another token next time, because Apple holds this one for too old; not within the first 20 minutes."""
        if token == self._token and self._clock.now() // SECOND - self._made_at >= MIN_AGE:
            self._token = ""
