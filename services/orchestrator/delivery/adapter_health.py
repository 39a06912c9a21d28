"""Whether an adapter can serve, as far as this process has seen. Nothing here is I/O.

A circuit breaker: after enough failures it is open, and the adapter gets no messages. After a while a few are tried; if
they succeed, the adapter serves again, a growing share of its weight at first, so that a provider which has just come
back is not overrun. What a provider says about one message (its address, its content) is no failure of the provider.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from schemas.message import HandoverResult
from services.orchestrator.delivery.adapters.definition import FirstByteGuard
from services.orchestrator.delivery.attempts import NOT_TRIED
from services.orchestrator.delivery.deadline import boot_time

WINDOW: Final = 40
"""Outcomes that are remembered."""
ENOUGH: Final = 10
"""Outcomes that are needed before an adapter can be found failing."""
FAILING_SHARE: Final = 0.5
FIRST_PAUSE: Final = 5.0
"""Seconds until a failing adapter is tried again; doubled each time it still fails."""
LONGEST_PAUSE: Final = 60.0
FIRST_ACCOUNT_PAUSE: Final = 30.0
"""Seconds, after a provider has refused our account: nothing goes out until somebody mends it, so more patience."""
LONGEST_ACCOUNT_PAUSE: Final = 600.0
LONGEST_THROTTLE: Final = 300.0
"""Seconds for which a provider's `Retry-After` holds back everything; the message itself waits as long as was said."""
STALLED_AFTER: Final = 3.0
"""Seconds without any progress of what is under way."""
RETURN_TIME: Final = 60.0
"""Seconds from the first success after a failure until the adapter has its whole share again."""
PROBE_SIZE: Final = 5
"""Messages that are tried with an adapter that has failed."""
UNPROVEN_SIZE: Final = 50
"""Messages of a batch that are tried first, where the batch before had nothing accepted: if they fail, a provider that
is dead has cost no more than these.
"""
SECONDS_AT_ONCE: Final = 5.0
"""How long an adapter should take for what it is given at once."""

CircuitState = Literal["closed", "open", "half_open"]


@dataclass(frozen=True, slots=True)
class HealthReport:
    """What is known of an adapter now."""

    circuit: CircuitState
    cause: str | None
    """Of an open circuit: `account`, `failing`; of a closed one: `throttled`, `stalled`, or None."""
    wait: float
    """Seconds until it may be tried again."""


class AdapterHealth:
    """The health of one adapter. `now`: seconds of a clock that only goes forward."""

    def __init__(self, now: Callable[[], float] = boot_time) -> None:
        self._now = now
        self._outcomes: deque[bool] = deque(maxlen=WINDOW)
        self._open_until = 0.0
        self._pause = 0.0
        self._cause: str | None = None
        self._is_probing = False
        self._returned_at: float | None = None
        self._throttled_until = 0.0
        self._under_way = 0
        self._progress_at = 0.0
        self._begun = self._begun_when_seen = 0
        self._room: int | None = None
        self._has_accepted = False

    # What may be asked

    @property
    def is_usable(self) -> bool:
        """Whether it may have messages now. A failed adapter whose pause is over may have one small batch."""
        now = self._now()
        if now < self._throttled_until:
            return False
        if self._cause is None:
            return not self._is_stalled(now)
        return now >= self._open_until and not self._is_probing

    def room(self, most: int) -> int:
        """How many messages it may have under way at once, and no more than `most`: what it takes in five seconds."""
        if self._cause is not None:
            return min(PROBE_SIZE, most)
        return most if self._room is None else min(self._room, most)

    def next_part(self, most: int) -> int:
        """How many messages of a batch are tried before its adapter is judged again: few, until one was accepted."""
        return most if self._has_accepted else min(UNPROVEN_SIZE, most)

    def share(self) -> float:
        """Which part of its weight counts: less than 1 for a minute after it has failed."""
        if self._returned_at is None:
            return 1.0
        return min(max((self._now() - self._returned_at) / RETURN_TIME, 0.05), 1.0)

    def wait(self) -> float:
        """Seconds until it may be usable; 0 if that depends on something else than time."""
        now = self._now()
        return max(self._throttled_until - now, self._open_until - now if self._cause else 0.0, 0.0)

    def report(self) -> HealthReport:
        """All of it in words."""
        now = self._now()
        if self._cause is not None:
            return HealthReport("half_open" if now >= self._open_until else "open", self._cause, self.wait())
        cause = "throttled" if now < self._throttled_until else "stalled" if self._is_stalled(now) else None
        return HealthReport("closed", cause, self.wait())

    def _is_stalled(self, now: float) -> bool:
        if self._begun != self._begun_when_seen:
            self._begun_when_seen, self._progress_at = self._begun, now
        return self._under_way > 0 and now - self._progress_at > STALLED_AFTER

    # What has happened

    def start(self, count: int) -> None:
        """Messages are about to be handed over."""
        now = self._now()
        if not self._under_way:
            self._progress_at = now
        self._under_way += count
        self._is_probing = self._cause is not None

    def try_again(self) -> None:
        """What was wrong with our account may be mended: end its pause."""
        if self._cause == "account":
            self._open_until, self._pause = self._now(), 0.0

    def progress(self) -> None:
        """A message has begun to leave. Asked for each message, so it looks at no clock."""
        self._begun += 1

    def finish(self, results: Sequence[HandoverResult], seconds: float) -> None:
        """The adapter has answered for a batch, after `seconds`."""
        now = self._now()
        self._under_way -= len(results)
        self._progress_at = now
        self._is_probing = False
        self._adapt_room(len(results), seconds)
        self._has_accepted = any(result.outcome == "accepted" for result in results)
        judged = [_is_success(result) for result in results if _says_something(result)]
        for result in results:
            if result.fault == "throttle" and result.retry_after:
                until = now + min(result.retry_after, LONGEST_THROTTLE)
                self._throttled_until = max(self._throttled_until, until)
        if any(result.fault == "account" for result in results) and not any(judged):
            self._open("account", FIRST_ACCOUNT_PAUSE, LONGEST_ACCOUNT_PAUSE, now)
        elif self._cause is not None:
            self._judge_probe(judged, any(result.outcome == "accepted" for result in results), now)
        else:
            self._outcomes += judged
            failed = self._outcomes.count(False)
            if len(self._outcomes) >= ENOUGH and failed >= FAILING_SHARE * len(self._outcomes):
                self._open("failing", FIRST_PAUSE, LONGEST_PAUSE, now)

    def _adapt_room(self, count: int, seconds: float) -> None:
        """Less room after a batch that took too long, and twice as much after a quick one that filled half of it."""
        if seconds > SECONDS_AT_ONCE:
            self._room = max(int(count * SECONDS_AT_ONCE / seconds), PROBE_SIZE)
        elif self._room is not None and count >= self._room / 2:
            self._room *= 2

    def _open(self, cause: str, first: float, longest: float, now: float) -> None:
        if self._cause == cause and now < self._open_until:
            return  # it was under way when the circuit opened, and tells nothing new
        again = self._cause == cause
        self._pause = min(self._pause * 2, longest) if again and self._pause else first
        self._cause, self._open_until = cause, now + self._pause
        self._outcomes.clear()

    def _judge_probe(self, judged: Sequence[bool], has_accepted: bool, now: float) -> None:
        """One message that it has taken proves that the provider is back. A refusal may be ours, without asking it."""
        if has_accepted:
            self._cause, self._pause, self._returned_at = None, 0.0, now
        elif False in judged:
            self._open("failing", FIRST_PAUSE, LONGEST_PAUSE, now)


def _says_something(result: HandoverResult) -> bool:
    """Whether a result says anything of the provider: not if it had no time to be tried, came too soon,
    or was not to be sent at all.
    """
    return result.detail not in NOT_TRIED and result.fault not in ("throttle", "trial")


def _is_success(result: HandoverResult) -> bool:
    return result.outcome in ("accepted", "rejected") or result.fault in ("address", "content")


class WatchedFirstByte:
    """A `FirstByteGuard` that tells an adapter's health of its progress."""

    def __init__(self, guard: FirstByteGuard, health: AdapterHealth) -> None:
        self._guard = guard
        self._health = health

    def before(self, message_id: str) -> None:
        """See `FirstByteGuard`."""
        self._guard.before(message_id)

    def after(self, message_id: str) -> None:
        """See `FirstByteGuard`."""
        self._guard.after(message_id)
        self._health.progress()
