"""Limits of rate in one process: of the requests of each key, and of the keys that nobody knows.

A token bucket each: it holds `burst` tokens, and gets `rate` a second. What is refused is answered 429, with the
seconds after which a token is there again.
"""

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable

from services.kit.errors import RateLimited
from services.kit.http.auth import KeyRing, Principal

MAX_BUCKETS = 4096
"""So many keys are told apart; the one that was used longest ago is forgotten, and begins with a full bucket again."""
UNKNOWN_KEYS = 20.0
"""Unknown keys a second that are looked for. Who guesses a key of 256 bits needs more time than there is; this saves
the database the asking."""
UNKNOWN_BURST = 100.0
KNOWN_SECONDS = 300.0
"""For so long after its last use a key is looked for without asking how many unknown ones there have been."""


class TokenBuckets:
    """A bucket for each name."""

    def __init__(self, rate: float, burst: float, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._rate, self._burst, self._monotonic = rate, burst, monotonic
        self._buckets: OrderedDict[Hashable, tuple[float, float]] = OrderedDict()

    def take(self, name: Hashable) -> float:
        """Takes a token. Returns the seconds until there will be one: 0 if it was there."""
        now = self._monotonic()
        tokens, at = self._buckets.pop(name, (self._burst, now))
        tokens = min(self._burst, tokens + (now - at) * self._rate)
        wait = 0.0 if tokens >= 1 else (1 - tokens) / self._rate
        self._buckets[name] = (tokens if wait else tokens - 1, now)
        if len(self._buckets) > MAX_BUCKETS:
            self._buckets.popitem(last=False)
        return wait


class RequestRate:
    """How many requests a second each key may make; bursts of twice as many."""

    def __init__(self, rate: float, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._rate = rate
        self._buckets = TokenBuckets(rate, 2 * rate, monotonic)

    def admit(self, key_id: str) -> None:
        """Raises RateLimited for one request too many."""
        if wait := self._buckets.take(key_id):
            raise RateLimited(
                f"this key makes more than {self._rate:g} requests a second here; send events in batches, and fewer "
                "requests at once",
                retry_after=wait,
            )


class LimitedKeyRing:
    """A key ring that looks for no more than so many unknown keys a second. Keys that are in use are not held up."""

    def __init__(self, ring: KeyRing, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._ring, self._monotonic = ring, monotonic
        self._attempts = TokenBuckets(UNKNOWN_KEYS, UNKNOWN_BURST, monotonic)
        self._known: OrderedDict[str, float] = OrderedDict()

    async def find_principal(self, digest: str) -> Principal | None:
        """See KeyRing. Raises RateLimited for an unknown key after too many others."""
        last_used = self._known.get(digest)
        if (last_used is None or self._monotonic() - last_used > KNOWN_SECONDS) and (wait := self._attempts.take("")):
            raise RateLimited("too many unknown keys are tried here at the moment", retry_after=wait)
        principal = await self._ring.find_principal(digest)
        self._known.pop(digest, None)
        if principal is not None:
            self._known[digest] = self._monotonic()
            if len(self._known) > MAX_BUCKETS:
                self._known.popitem(last=False)
        return principal
