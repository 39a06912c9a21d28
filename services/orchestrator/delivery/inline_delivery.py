"""The straight way: what has just been decided is marked in the same transaction and handed over by the same process.

It saves the message the way through the outbox: one transaction, one look at the event, and most of the facts. It is
taken as long as little is under way, so that a slow provider never holds up deciding; everything else lies in the
outbox for the dispatchers, as what waits or is tried again always does. The protocol is the same: docs/protocols.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence

from schemas.times import Instant
from services.kit.db.database import Tx
from services.kit.observability.logs import log_error
from services.orchestrator.decisions.evaluation import Ready, Work
from services.orchestrator.delivery.attempts import Mark
from services.orchestrator.delivery.claim import Marked
from services.orchestrator.delivery.sender import Handover

ROOM = 4_000
"""Messages of one channel that may be under way at once."""


class Straight:
    """Marks for the process that decides. `owner` tells it from all others; `hashed` gives an address's keyed hash."""

    def __init__(self, owner: str, hashed: Callable[[str, str], str], handover: Handover) -> None:
        self._owner = owner
        self._hashed = hashed
        self._handover = handover
        self._under_way: Counter[str] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()
        self._ended = False

    def deadline(self) -> float:
        """Until when (boot time) a handover may start whose mark begins now."""
        return self._handover.deadline()

    async def mark(self, tx: Tx, works: Sequence[Work], now: Instant) -> list[Marked]:
        """Mark what there is room for, on the ledgers that are about to be written; the rest is left to the outbox."""
        opened = await tx.now()
        going: Counter[str] = Counter()
        marked: list[Marked] = []
        for work in works:
            if work.again:
                continue
            for item in work.ready:
                channel = item.planned.channel
                if self._has_room(channel, going[channel]):
                    going[channel] += 1
                    mark = Mark(self._owner, now, opened, self._hashed(channel, item.content.to))
                    marked.append(_marked(work, item, mark))
        return marked

    def _has_room(self, channel: str, more: int) -> bool:
        if self._ended or channel not in self._handover.channels:
            return False
        return self._under_way[channel] + more < ROOM

    def go(self, marked: Sequence[Marked], deadline: float) -> None:
        """Their marks are committed: hand them over, beside whatever this process does next."""
        by_channel: dict[str, list[Marked]] = {}
        for item in marked:
            by_channel.setdefault(item.channel, []).append(item)
        for channel, items in by_channel.items():
            self._under_way[channel] += len(items)
            task = asyncio.create_task(self._finish(channel, items, deadline))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _finish(self, channel: str, items: Sequence[Marked], deadline: float) -> None:
        try:
            await self._handover.finish(channel, items, deadline)
        except Exception as error:  # their attempts are open: recovery closes them after the deadline
            log_error("handover_failed", error, channel=channel, count=len(items))
        finally:
            self._under_way[channel] -= len(items)

    def end(self) -> None:
        """Mark nothing more, and give back what has not begun."""
        self._ended = True
        self._handover.end()

    async def drained(self) -> None:
        """Wait until nothing is under way."""
        while self._tasks:
            await asyncio.gather(*self._tasks)


def _marked(work: Work, item: Ready, mark: Mark) -> Marked:
    planned, content = item.planned, item.content
    touch, message_id = planned.touch, planned.message_id
    now = mark.marked_at
    work.ledger = work.ledger.mark(message_id, now)
    work.marked[message_id] = mark
    return Marked(
        *(message_id, work.customer, touch.campaign.key, touch.campaign.version, planned.channel, touch.campaign.cls),
        *(touch.event.source, touch.event.id, planned.since),
        ready=now,
        number=1,
        to=content.to,
        content=content.fields,
        marked_at=now,
        ledger=work.ledger,
        touch=touch,
        facts=work.facts,
        alone=len(work.decisions) == 1,
    )
