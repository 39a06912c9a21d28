"""Releases messages whose holds have ended, at a bounded rate.

Releasing a message means to give it a turn: the instant at which its timer is due. Turns are given a few seconds
ahead, in order of class, priority and age. So a release costs the same for a million messages as for a hundred, and
placing the hold again stops the rest of the release. At its turn a message is evaluated again in full.
"""

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol

from schemas.facts import HoldFact
from schemas.service_api import DEFAULT_RELEASE_RATE, HoldEnd
from schemas.times import SECOND, Instant
from services.kit.db.database import Database, Tx
from services.kit.errors import Permanent, Transient
from services.kit.observability.logs import log
from services.kit.observability.metrics import Registry, counter
from services.kit.runtime.clock import Clock
from services.orchestrator.decisions.message_store import CAUSE_HOLD, CAUSE_HOLD_UNTIL
from services.orchestrator.holds import store

TURN_LOOKAHEAD = 10 * SECOND
"""Turns are given so far ahead, and again when half of that is left."""


class HoldsRefused(Transient):
    """The suppression service refused to tell the holds."""

    default_code = "holds_refused"


class HoldsApi(Protocol):
    """What the releaser needs of suppression: services.clients.suppression.SuppressionClient."""

    async def get_holds(self) -> Sequence[HoldFact]:
        """The holds on everybody that are in force or still to come. Raises Transient."""

    async def get_hold_ends(self, keys: Sequence[str], at: Instant) -> Sequence[HoldEnd]:
        """How the holds with these keys ended last, as of an instant. Raises Transient."""


class HoldMetrics:
    """Messages that have been released."""

    def __init__(self, registry: Registry) -> None:
        description = "Messages released because their hold was lifted, or ended by itself"
        self._releases = counter(registry, "hold_released_total", description, {"way": ("lifted", "ended")})

    def record_releases(self, way: str, count: int) -> None:
        """Count messages that have been given their turns."""
        self._releases(way).inc(count)


class HoldReleaser:
    """Gives turns to messages whose holds have ended. Any number of processes may run it: each release is locked."""

    def __init__(self, database: Database, holds: HoldsApi, clock: Clock, metrics: HoldMetrics) -> None:
        self._database = database
        self._holds = holds
        self._clock = clock
        self._metrics = metrics

    async def release_ended_holds(self) -> None:
        """Give the turns of the next seconds. Raises Transient while the holds cannot be read."""
        async with self._database.read() as tx:
            waited_holds = {cause: await store.list_waited_holds(tx, cause) for cause in (CAUSE_HOLD, CAUSE_HOLD_UNTIL)}
            next_turns = await store.load_next_turns(tx) if any(waited_holds.values()) else {}
        if not any(waited_holds.values()):
            return
        now = self._clock.now()
        ended_holds = _ended_holds(waited_holds, await self._fetch_holds(), now)
        due_keys = [key for key in ended_holds if next_turns.get(key, now) <= now + TURN_LOOKAHEAD // 2]
        if not due_keys:
            return
        for end in await self._fetch_hold_ends(due_keys, now):
            async with self._database.write() as tx:
                given = await _assign_turns(tx, end, ended_holds[end.key], now)
            if given:
                self._metrics.record_releases(_end_kind(end), given)
                log("hold_release", hold_key=end.key, way=_end_kind(end), messages=given, rate=end.rate)

    async def _fetch_holds(self) -> Sequence[HoldFact]:
        try:
            return await self._holds.get_holds()
        except Permanent as error:
            raise HoldsRefused(f"holds are refused: {error.detail}", retry_after=5.0) from error

    async def _fetch_hold_ends(self, keys: Sequence[str], now: Instant) -> Sequence[HoldEnd]:
        """How these holds ended. A hold that suppression does not know counts as lifted: it keeps nothing back."""
        try:
            known = {end.key: end for end in await self._holds.get_hold_ends(keys, now)}
        except Permanent as error:
            raise HoldsRefused(f"holds are refused: {error.detail}", retry_after=5.0) from error
        return [known.get(key) or HoldEnd(key, lifted=True, rate=DEFAULT_RELEASE_RATE) for key in keys]


def release_turns(count: int, rate: int, now: Instant, next_at: Instant) -> tuple[list[Instant], Instant]:
    """The turns of `count` messages at `rate` a second, and the earliest instant of the turn after them.

    What fits into one second goes at once; then one follows the other evenly. `next_at` is what the turns given
    before returned.
    """
    start = max(next_at, now)
    given = [max(now, start + index * SECOND // rate - SECOND) for index in range(1, count + 1)]
    return given, start + count * SECOND // rate


def free_turns(rate: int, now: Instant, next_at: Instant) -> int:
    """How many turns at `rate` a second fit before the end of the lookahead."""
    return max(0, rate * (now + TURN_LOOKAHEAD + SECOND - max(next_at, now)) // SECOND)


def _ended_holds(
    waited_holds: Mapping[str, Sequence[str]], holds: Sequence[HoldFact], now: Instant
) -> dict[str, list[str]]:
    """The ended holds that messages still wait for: key -> the causes under which they wait."""
    open_ended = {hold.key for hold in holds if hold.until is None}
    active = {hold.key for hold in holds if hold.until is None or hold.until > now}
    found: dict[str, list[str]] = {}
    for cause, unended in ((CAUSE_HOLD, open_ended), (CAUSE_HOLD_UNTIL, active)):
        for key in waited_holds[cause]:
            if key not in unended:
                found.setdefault(key, []).append(cause)
    return found


async def _assign_turns(tx: Tx, end: HoldEnd, causes: Sequence[str], now: Instant) -> int:
    """Give as many turns as fit; returns how many were given."""
    next_at = await store.lock_next_turn(tx, end.key, now)
    total = 0
    for cause in causes:
        if cause == CAUSE_HOLD_UNTIL and not end.lifted:
            await store.drop_ended_hold(tx, end.key, now)
        rows = await store.load_waiting_for_cause(tx, end.key, cause, free_turns(end.rate, now, next_at))
        given, next_at = release_turns(len(rows), end.rate, now, next_at)
        due = {row.message_id: _due_at_turn(row.due, turn, now) for row, turn in zip(rows, given, strict=True)}
        await store.set_turns(tx, end.key, due)
        total += len(rows)
    await store.save_next_turn(tx, end.key, next_at)
    return total


def _due_at_turn(due: Instant, turn: Instant, now: Instant) -> Instant:
    """When a message is due: at its turn; one that is due later anyway, say by its expiry, not after that."""
    return turn if due <= now else min(due, turn)


def _end_kind(end: HoldEnd) -> Literal["lifted", "ended"]:
    return "lifted" if end.lifted else "ended"
