"""Takes every message and forgets it: for benchmarks."""

from collections.abc import Sequence

from schemas.message import HandoverResult, Message
from schemas.vocabulary import CHANNELS
from services.orchestrator.delivery.adapters.adapter import FirstByteGuard, past_deadline_result
from services.orchestrator.delivery.deadline import PastDeadline


class NullAdapter:
    """The adapter `null`."""

    name = "null"
    channels = frozenset(CHANNELS)
    idempotent = True

    async def send_batch(self, messages: Sequence[Message], first_byte: FirstByteGuard) -> list[HandoverResult]:
        """Accepts each message before its deadline."""
        return [_accept(message, first_byte) for message in messages]

    async def close(self) -> None:
        """Holds nothing."""


def _accept(message: Message, first_byte: FirstByteGuard) -> HandoverResult:
    try:
        first_byte.before(message.id)
    except PastDeadline:
        return past_deadline_result(message.id)
    first_byte.after(message.id)
    return HandoverResult(message.id, "accepted", provider_id=message.id)
