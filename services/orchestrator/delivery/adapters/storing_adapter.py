"""What adapters have in common that store messages in this installation: each once, in one transaction for a batch."""

from collections.abc import Awaitable, Callable, Sequence

from schemas.message import HandoverResult, Message
from services.kit.errors import Transient
from services.orchestrator.delivery.adapters.definition import FirstByteGuard, past_deadline_result
from services.orchestrator.delivery.deadline import PastDeadline

StoreMessages = Callable[[Sequence[Message]], Awaitable[None]]


class StoringAdapter:
    """Hands messages to `store_messages`, which ignores an id that it already has."""

    idempotent = True

    def __init__(self, name: str, store_messages: StoreMessages) -> None:
        self.name = name
        self._store_messages = store_messages

    async def send_batch(self, messages: Sequence[Message], first_byte: FirstByteGuard) -> list[HandoverResult]:
        """Store the messages that are not past their deadline; if the database is busy, `retry` for all of them."""
        in_time: dict[str, Message] = {}
        results: dict[str, HandoverResult] = {}
        for message in messages:
            try:
                first_byte.before(message.id)
            except PastDeadline:
                results[message.id] = past_deadline_result(message.id)
            else:
                in_time[message.id] = message
                results[message.id] = HandoverResult(message.id, "accepted", provider_id=message.id)
        try:
            if in_time:
                await self._store_messages(list(in_time.values()))
        except Transient as error:
            retries = {
                message_id: HandoverResult(message_id, "retry", detail=error.code, retry_after=error.retry_after)
                for message_id in in_time
            }
            results.update(retries)
        finally:
            for message_id in in_time:
                first_byte.after(message_id)
        return [results[message.id] for message in messages]

    async def close(self) -> None:
        """There is nothing to close."""
