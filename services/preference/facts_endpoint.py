"""Answers questions for the facts of the present, behind the causal fence."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import msgspec

from schemas.facts import Preference
from schemas.service_api import ChangesRequest, ChangesResponse, LogPositions, PreferenceRequest, PreferenceResponse
from services.kit.bus.fence import WakeSignal
from services.kit.bus.fenced_read import read_once_applied
from services.kit.bus.protocol import Partition
from services.kit.db.database import Database, Tx
from services.kit.db.recent_changes import ChangePosition, RecentChanges
from services.preference import store

FENCE_WAIT = 2.0
"""Seconds that a request waits until our database has applied the log up to the caller's positions."""

T = TypeVar("T")
PackedFacts = list[Preference | msgspec.Raw]
_decode_preference = msgspec.msgpack.Decoder(Preference).decode


class PreferenceFacts:
    """Facts, and what has changed since they were read. `region`: the organisation's country.

    Methods raise FenceTimeout after FENCE_WAIT.
    """

    def __init__(self, database: Database, changes: RecentChanges, wake_signal: WakeSignal, region: str | None) -> None:
        self._database = database
        self._changes = changes
        self._wake_signal = wake_signal
        self._region = region
        self.questions = 0
        """How often it was asked for facts."""

    async def read_packed(self, request: PreferenceRequest) -> tuple[PackedFacts, ChangePosition | None]:
        """The facts as they are stored, and their position where it is asked for."""
        self.questions += 1

        async def read(tx: Tx) -> tuple[PackedFacts, ChangePosition | None]:
            facts = await store.read_facts(tx, request.customers, request.versions, self._region)
            return facts, await self._changes.get_position(tx) if request.with_position else None

        return await self._read_once_applied(request.positions, read)

    async def answer_facts(self, request: PreferenceRequest) -> PreferenceResponse:
        """The facts for somebody in this process."""
        packed, position = await self.read_packed(request)
        facts = [_decode_preference(each) if isinstance(each, msgspec.Raw) else each for each in packed]
        return PreferenceResponse(tuple(facts), position)

    async def answer_changes(self, request: ChangesRequest) -> ChangesResponse:
        """What has changed since facts were read."""

        async def read(tx: Tx) -> bytes | None:
            return await self._changes.get_changes(tx, request.since)

        return ChangesResponse(await self._read_once_applied(request.positions, read))

    async def _read_once_applied(self, positions: LogPositions, query: Callable[[Tx], Awaitable[T]]) -> T:
        return await read_once_applied(
            self._database, partition_positions(positions), FENCE_WAIT, self._wake_signal, query
        )


def partition_positions(positions: LogPositions) -> dict[Partition, int]:
    """Log positions by partition."""
    return {
        Partition(topic, partition): offset
        for topic, partitions in positions.items()
        for partition, offset in partitions.items()
    }
