"""The adapter `null`: no provider, no storage. Benchmarks use it to measure everything but handover."""

from collections.abc import Sequence

from schemas.message import HandoverResult, Message
from services.orchestrator.delivery.adapters.definition import AdapterContext, FirstByteGuard, past_deadline_result
from services.orchestrator.delivery.deadline import PastDeadline


class NullAdapter:
    """Accepts every message before its deadline."""

    name = "null"
    idempotent = True

    async def send_batch(self, messages: Sequence[Message], first_byte: FirstByteGuard) -> list[HandoverResult]:
        """`accepted` for each message before its deadline."""
        return [_accept(message, first_byte) for message in messages]

    async def close(self) -> None:
        """There is nothing to close."""


def create_adapter(context: AdapterContext) -> NullAdapter:
    """The adapter; it has no settings."""
    return NullAdapter()


def _accept(message: Message, first_byte: FirstByteGuard) -> HandoverResult:
    try:
        first_byte.before(message.id)
    except PastDeadline:
        return past_deadline_result(message.id)
    first_byte.after(message.id)
    return HandoverResult(message.id, "accepted", provider_id=message.id)
