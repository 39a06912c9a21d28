"""Retries within a budget: repeated attempts of an adapter make up a tenth of its handovers at most, or ten a second.

A provider that fails for a part of its messages would otherwise get them again on top of all others, just when it has
least to spare. A retry that the budget has no place for waits longer, and expires when its message does. The budget is
one line in the database for all processes, as that of a rate (`adapter_pace.py`). It is asked when retries are due: it
costs nothing while nothing fails.
"""

import zlib
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from schemas.times import SECOND, Instant
from services.kit.db.database import Tx
from services.orchestrator.delivery.adapter_pace import take_places
from services.orchestrator.delivery.metrics import DeliveryMetrics

SHARE: Final = 0.1
"""Of an adapter's handovers, that may be retries."""
LEAST_RATE: Final = 10.0
"""Retries a second that an adapter gets in any case: no storm for any provider, and enough for small installations."""
AHEAD: Final = 5 * SECOND
"""How much of the budget may be used at once."""
SAMPLE: Final = 200
"""Of so many handovers, the last ones of all adapters, the rate of messages is taken."""
SHORTEST_SAMPLE: Final = SECOND
FIRST_WAIT: Final = 10 * SECOND
LONGEST_WAIT: Final = 600 * SECOND
_ID_LENGTH: Final = 39
"""Characters of a message's id in a JSON array: 36, two quotes and a comma."""


class PastHandover(NamedTuple):
    """One of the last handovers: when it was claimed, and about how many messages it had."""

    claimed_at: Instant
    messages: int


def budget_rate(handovers: Sequence[PastHandover], now: Instant) -> float:
    """How many retries a second the last handovers of an adapter allow."""
    if not handovers:
        return LEAST_RATE
    span = max(now - min(each.claimed_at for each in handovers), SHORTEST_SAMPLE)
    return max(SHARE * sum(each.messages for each in handovers) * SECOND / span, LEAST_RATE)


def longer_wait(position: int, rate: float, message_id: str) -> int:
    """Microseconds until a retry that is the `position`th beyond the budget (from 0) is due again: until its turn may
    come, and up to a quarter more by its id.
    """
    wait = min(max(int((position + 1) / rate * SECOND), FIRST_WAIT), LONGEST_WAIT)
    return wait + wait * (zlib.crc32(message_id.encode()) % 256) // 1024


class RetryBudget:
    """Says which retries that are due have to wait longer."""

    def __init__(self, metrics: DeliveryMetrics) -> None:
        self._metrics = metrics

    async def __call__(self, tx: Tx, due: Mapping[str, Sequence[str]], now: Instant) -> dict[str, Instant]:
        """`due`: the messages that are to be tried again, by their adapter, those that wait longest first. Returns
        those that have to wait, each with the time at which it is due again.
        """
        postponed: dict[str, Instant] = {}
        for adapter, ids in sorted(due.items()):
            rate = budget_rate(await _load_last_handovers(tx, adapter), now)
            places = await take_places(tx, f"retries of {adapter}", rate, len(ids), now, AHEAD)
            beyond = ids[places.taken :]
            postponed |= {id: now + longer_wait(place, rate, id) for place, id in enumerate(beyond)}
            if beyond:
                self._metrics.count_postponed(adapter, len(beyond))
        return postponed


async def _load_last_handovers(tx: Tx, adapter: str) -> list[PastHandover]:
    rows = await tx.rows(
        "SELECT claimed_at, length(messages) AS length FROM "
        f"(SELECT adapter, claimed_at, messages FROM handover ORDER BY handover_id DESC LIMIT {SAMPLE}) AS h "
        "WHERE adapter = :adapter",
        adapter=adapter,
    )
    return [PastHandover(row.claimed_at, (row.length - 1) // _ID_LENGTH) for row in rows]
