"""Keeps what it would have sent, so that people can look at it; nothing leaves the house."""

from collections.abc import Awaitable, Callable, Sequence

from schemas.message import Handed, Message
from schemas.vocabulary import CHANNELS
from services.kit.errors import Transient
from services.orchestrator.delivery.adapters.adapter import FirstByte, past_deadline
from services.orchestrator.delivery.deadline import PastDeadline

Keep = Callable[[Sequence[Message]], Awaitable[None]]


class Sandbox:
    """The adapter `sandbox`. `keep` stores messages in one transaction and skips an id that it already has."""

    name = "sandbox"
    channels = frozenset(CHANNELS)
    idempotent = True

    def __init__(self, keep: Keep) -> None:
        self._keep = keep

    async def send_batch(self, messages: Sequence[Message], first_byte: FirstByte) -> list[Handed]:
        """Keeps the messages that are not past their deadline. If the database is busy: retry, for all of them."""
        in_time: dict[str, Message] = {}
        answers: dict[str, Handed] = {}
        for message in messages:
            try:
                first_byte.before(message.id)
            except PastDeadline:
                answers[message.id] = past_deadline(message.id)
            else:
                in_time[message.id] = message
                answers[message.id] = Handed(message.id, "accepted", provider_id=message.id)
        try:
            if in_time:
                await self._keep(list(in_time.values()))
        except Transient as error:
            late = {each: Handed(each, "retry", detail=error.code, retry_after=error.retry_after) for each in in_time}
            answers.update(late)
        finally:
            for each in in_time:
                first_byte.after(each)
        return [answers[message.id] for message in messages]

    async def close(self) -> None:
        """Holds nothing."""
