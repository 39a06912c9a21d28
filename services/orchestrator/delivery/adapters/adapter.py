"""What an adapter is: our code for one provider."""

from collections.abc import Sequence
from typing import Protocol

from schemas.message import HandoverResult, Message


class FirstByteGuard(Protocol):
    """Stands between an adapter and the wire. The dispatcher passes it; the adapter calls it for each message."""

    def before(self, message_id: str) -> None:
        """Immediately before the first byte is written. Raises PastDeadline: then nothing may be written."""

    def after(self, message_id: str) -> None:
        """Right after it was written."""


class Adapter(Protocol):
    """Hands messages over to one provider.

    `channels`: the keys of the channels it serves. `idempotent`: the provider takes a message id once, however often
    it is sent.
    """

    name: str
    channels: frozenset[str]
    idempotent: bool

    async def send_batch(self, messages: Sequence[Message], first_byte: FirstByteGuard) -> list[HandoverResult]:
        """One answer a message, in order. Raises nothing but cancellation."""
        ...

    async def close(self) -> None:
        """Gives connections back."""


def past_deadline_result(message_id: str) -> HandoverResult:
    """The answer for a message that was not written because its deadline had passed."""
    return HandoverResult(message_id, "retry", detail="past_deadline")
