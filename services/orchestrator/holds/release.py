"""Releases what holds kept back once they stand no more, at a bounded rate.

A released message is given a turn: the instant at which its timer is due. Turns are given out a few seconds ahead, by
class, priority and age, so a release is as cheap for a million messages as for a hundred, and a hold that is placed
again stops the rest of it. At its turn a message is judged again in full.
"""

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol

from schemas.facts import HoldFact
from schemas.times import SECOND, Instant
from services.clients.suppression import RATE, HoldEnd
from services.kit.db.database import Database, Tx
from services.kit.errors import Permanent, Transient
from services.kit.observability.logs import log
from services.kit.runtime.clock import Clock
from services.orchestrator.holds import store
from services.orchestrator.holds.store import PARKING, WITH_AN_END
from services.orchestrator.metrics import Metrics

AHEAD = 10 * SECOND
"""Turns are given out so far ahead, and again when half of that is left."""


class Holds(Protocol):
    """What suppression tells about holds: services.clients.suppression.SuppressionClient."""

    async def holds(self) -> Sequence[HoldFact]:
        """Everybody's holds, live or to come. Raises Transient."""

    async def ends(self, keys: Sequence[str], at: Instant) -> Sequence[HoldEnd]:
        """How the holds under these keys ended last, as of an instant. Raises Transient."""


class Releases:
    """Gives turns to messages whose holds have ended. Any number of processes may: a release is locked."""

    def __init__(self, database: Database, holds: Holds, clock: Clock, metrics: Metrics) -> None:
        self._database = database
        self._holds = holds
        self._clock = clock
        self._metrics = metrics

    async def wake(self) -> None:
        """Give the turns that are to be given now. Raises Transient when nobody knows which holds stand."""
        async with self._database.read() as tx:
            waited = {cause: await store.names(tx, cause) for cause in (PARKING, WITH_AN_END)}
            paces = await store.paces(tx) if any(waited.values()) else {}
        if not any(waited.values()):
            return
        now = self._clock.now()
        over = _over(waited, await self._standing(), now)
        wanted = [key for key in over if paces.get(key, now) <= now + AHEAD // 2]
        if not wanted:
            return
        for end in await self._ends(wanted, now):
            async with self._database.write() as tx:
                given = await _give(tx, end, over[end.key], now)
            if given:
                self._metrics.released(_way(end), given)
                log("hold_release", hold_key=end.key, way=_way(end), messages=given, rate=end.rate)

    async def _standing(self) -> Sequence[HoldFact]:
        try:
            return await self._holds.holds()
        except Permanent as error:
            raise Transient(f"holds are refused: {error.detail}", retry_after=5.0, code="holds_refused") from error

    async def _ends(self, keys: Sequence[str], now: Instant) -> Sequence[HoldEnd]:
        """How these ended. A hold that suppression has never heard of keeps nothing back."""
        try:
            known = {end.key: end for end in await self._holds.ends(keys, now)}
        except Permanent as error:
            raise Transient(f"holds are refused: {error.detail}", retry_after=5.0, code="holds_refused") from error
        return [known.get(key) or HoldEnd(key, lifted=True, rate=RATE) for key in keys]


def turns(count: int, rate: int, now: Instant, next_at: Instant) -> tuple[list[Instant], Instant]:
    """The turns of `count` messages at `rate` a second, and when the next one may be.

    What fits into one second goes at once; then one follows the other evenly. `next_at` is what the turns given
    before returned.
    """
    start = max(next_at, now)
    given = [max(now, start + place * SECOND // rate - SECOND) for place in range(1, count + 1)]
    return given, start + count * SECOND // rate


def room(rate: int, now: Instant, next_at: Instant) -> int:
    """How many turns at `rate` a second are left until AHEAD."""
    return max(0, rate * (now + AHEAD + SECOND - max(next_at, now)) // SECOND)


def _over(waited: Mapping[str, Sequence[str]], holds: Sequence[HoldFact], now: Instant) -> dict[str, list[str]]:
    """Which holds that messages wait for stand no more, by key, with the causes under which they are waited for."""
    endless = {hold.key for hold in holds if hold.until is None}
    ending = {hold.key for hold in holds if hold.until is None or hold.until > now}
    found: dict[str, list[str]] = {}
    for cause, standing in ((PARKING, endless), (WITH_AN_END, ending)):
        for key in waited[cause]:
            if key not in standing:
                found.setdefault(key, []).append(cause)
    return found


async def _give(tx: Tx, end: HoldEnd, causes: Sequence[str], now: Instant) -> int:
    """Give as many turns as there is room for; how many were given."""
    next_at = await store.lock_pace(tx, end.key, now)
    total = 0
    for cause in causes:
        if cause == WITH_AN_END and not end.lifted:
            await store.forget_later(tx, end.key, now)
        rows = await store.waiting(tx, end.key, cause, room(end.rate, now, next_at))
        given, next_at = turns(len(rows), end.rate, now, next_at)
        due = {row.message_id: _due(row.due, turn, now) for row, turn in zip(rows, given, strict=True)}
        await store.give_turns(tx, end.key, due)
        total += len(rows)
    await store.keep_pace(tx, end.key, next_at)
    return total


def _due(due: Instant, turn: Instant, now: Instant) -> Instant:
    """What is due already takes its turn; what would be due later, say by its expiry, is due at its turn or before."""
    return turn if due <= now else min(due, turn)


def _way(end: HoldEnd) -> Literal["lifted", "ended"]:
    return "lifted" if end.lifted else "ended"
