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
from services.orchestrator.decisions.evaluation import CustomerEvaluation, ReadyMessage
from services.orchestrator.delivery.attempts import MessageClaim
from services.orchestrator.delivery.claim import ClaimedMessage
from services.orchestrator.delivery.sender import Sender

MAX_IN_FLIGHT = 4_000
"""Messages of one channel that may be under way at once."""


class InlineDelivery:
    """Marks for the process that decides. `owner` tells it from all others; `hashed` gives an address's keyed hash."""

    def __init__(self, owner: str, hash_address: Callable[[str, str], str], sender: Sender) -> None:
        self._owner = owner
        self._hash_address = hash_address
        self._sender = sender
        self._in_flight: Counter[str] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopping = False

    def deadline(self) -> float:
        """Until when (boot time) a handover may start whose mark begins now."""
        return self._sender.deadline()

    async def claim_ready(
        self, tx: Tx, evaluations: Sequence[CustomerEvaluation], now: Instant
    ) -> list[ClaimedMessage]:
        """Mark what there is room for, on the ledgers that are about to be written; the rest is left to the outbox."""
        opened = await tx.now()
        claimed_counts: Counter[str] = Counter()
        claimed_messages: list[ClaimedMessage] = []
        for evaluation in evaluations:
            if evaluation.expected_states:
                continue
            for item in evaluation.ready_messages:
                channel = item.planned.channel
                if self._has_room(channel, claimed_counts[channel]):
                    claimed_counts[channel] += 1
                    claim = MessageClaim(self._owner, now, opened, self._hash_address(channel, item.content.to))
                    claimed_messages.append(_claim_message(evaluation, item, claim))
        return claimed_messages

    def _has_room(self, channel: str, more: int) -> bool:
        if self._stopping or channel not in self._sender.channels:
            return False
        return self._in_flight[channel] + more < MAX_IN_FLIGHT

    def start_sending(self, claimed_messages: Sequence[ClaimedMessage], deadline: float) -> None:
        """Their marks are committed: hand them over, beside whatever this process does next."""
        by_channel: dict[str, list[ClaimedMessage]] = {}
        for item in claimed_messages:
            by_channel.setdefault(item.channel, []).append(item)
        for channel, items in by_channel.items():
            self._in_flight[channel] += len(items)
            task = asyncio.create_task(self._send(channel, items, deadline))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _send(self, channel: str, items: Sequence[ClaimedMessage], deadline: float) -> None:
        try:
            await self._sender.send_claimed(channel, items, deadline)
        except Exception as error:  # their attempts are open: recovery closes them after the deadline
            log_error("handover_failed", error, channel=channel, count=len(items))
        finally:
            self._in_flight[channel] -= len(items)

    def stop_claiming(self) -> None:
        """Mark nothing more, and give back what has not begun."""
        self._stopping = True
        self._sender.refuse_new()

    async def wait_until_idle(self) -> None:
        """Wait until nothing is under way."""
        while self._tasks:
            await asyncio.gather(*self._tasks)


def _claim_message(evaluation: CustomerEvaluation, item: ReadyMessage, claim: MessageClaim) -> ClaimedMessage:
    planned, content = item.planned, item.content
    triggered, message_id = planned.triggered, planned.message_id
    now = claim.claimed_at
    evaluation.ledger = evaluation.ledger.claim_contact(message_id, now)
    evaluation.claims[message_id] = claim
    return ClaimedMessage(
        *(
            message_id,
            evaluation.customer,
            triggered.campaign.key,
            triggered.campaign.version,
            planned.channel,
            triggered.campaign.cls,
        ),
        *(triggered.event.source, triggered.event.id, planned.first_planned),
        ready_at=now,
        number=1,
        to=content.to,
        content=content.fields,
        claimed_at=now,
        ledger=evaluation.ledger,
        triggered=triggered,
        facts=evaluation.facts,
        sole_decision=len(evaluation.decisions) == 1,
    )
