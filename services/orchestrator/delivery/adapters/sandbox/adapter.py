"""The adapter `sandbox`: stores each message once, in one transaction for a batch, and sends nothing."""

from collections.abc import Sequence
from typing import Final

from schemas.message import Message
from services.orchestrator.delivery.adapters.definition import AdapterContext
from services.orchestrator.delivery.adapters.sandbox.store import insert_messages
from services.orchestrator.delivery.adapters.storing_adapter import StoringAdapter

NAME: Final = "sandbox"


def create_adapter(context: AdapterContext) -> StoringAdapter:
    """The adapter on this installation's database."""

    async def store_messages(messages: Sequence[Message]) -> None:
        # Less than the slack: after it the process is killed, as for a first byte that never came.
        async with context.database.answering_within(context.slack / 2), context.database.write() as tx:
            await insert_messages(tx, messages, context.clock.now())

    return StoringAdapter(NAME, store_messages)
