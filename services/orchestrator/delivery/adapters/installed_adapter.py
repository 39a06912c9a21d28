"""An adapter as it is installed: every message that leaves by it passes here, and nobody else calls its `send_batch`.

Two things are done for all adapters alike. In trial mode, messages to recipients that are not listed are refused before
the adapter sees them. And an adapter whose secrets have changed is replaced, without a handover being cut off.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from schemas.message import HandoverResult, Message
from services.orchestrator.delivery.adapters.definition import (
    Adapter,
    FirstByteGuard,
    SearchableAdapter,
    SearchAnswer,
    SearchedMessage,
)
from services.orchestrator.trial_recipients import TrialRecipients


class InstalledAdapter:
    """Hands messages over by the adapter `current`. `trial`: the only recipients that it may reach; None for all."""

    def __init__(self, current: Adapter, trial: TrialRecipients | None) -> None:
        self.name = current.name
        self.idempotent = current.idempotent
        self.trial = trial
        self._current = current
        self._under_way: dict[Adapter, int] = {}

    async def send_batch(self, messages: Sequence[Message], first_byte: FirstByteGuard) -> list[HandoverResult]:
        """One result for each message, in order; `rejected` for those that trial mode keeps back."""
        trial = self.trial
        if trial is None:
            return await self._send_by_current(messages, first_byte)
        allowed = [message for message in messages if trial.allow(message)]
        sent = {
            result.message_id: result
            for result in (await self._send_by_current(allowed, first_byte) if allowed else ())
        }
        return [sent.get(message.id) or _keep_back(message) for message in messages]

    async def find_handed_over(self, messages: Sequence[SearchedMessage]) -> list[SearchAnswer]:
        """What the provider shows of these messages; `unclear` where the adapter cannot ask."""
        adapter = self._current
        if not isinstance(adapter, SearchableAdapter):
            return [SearchAnswer(message.id, "unclear") for message in messages]
        async with self._using(self._current):
            return await adapter.find_handed_over(messages)

    async def replace(self, adapter: Adapter) -> None:
        """Hand over by this adapter from now on. The former is closed when nothing is under way by it any more."""
        former, self._current = self._current, adapter
        self.idempotent = self.idempotent and adapter.idempotent  # what was sent before may be repeated by this one
        if not self._under_way.get(former):
            await former.close()

    async def close(self) -> None:
        """Close connections."""
        await self._current.close()

    async def _send_by_current(self, messages: Sequence[Message], first_byte: FirstByteGuard) -> list[HandoverResult]:
        adapter = self._current
        async with self._using(adapter):
            return await adapter.send_batch(messages, first_byte)

    @asynccontextmanager
    async def _using(self, adapter: Adapter) -> AsyncIterator[None]:
        """While this lasts the adapter is not closed; one that was replaced is closed by the last who used it."""
        self._under_way[adapter] = self._under_way.get(adapter, 0) + 1
        try:
            yield
        finally:
            self._under_way[adapter] -= 1
            if not self._under_way[adapter]:
                del self._under_way[adapter]
                if adapter is not self._current:
                    await adapter.close()


def _keep_back(message: Message) -> HandoverResult:
    return HandoverResult(message.id, "rejected", detail="trial_mode: not on the list of recipients", fault="trial")
