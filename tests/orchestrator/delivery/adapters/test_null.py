"""The null adapter takes everything in time."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from services.orchestrator.delivery.adapters.null.adapter import NullAdapter
from tests.support.webhook_receiver import RecordingFirstByteGuard, message


@asynccontextmanager
async def adapter_under_contract() -> AsyncIterator[NullAdapter]:
    """For tests/contracts/test_adapters.py."""
    yield NullAdapter()


async def test_it_accepts_under_the_message_id() -> None:
    [handed] = await NullAdapter().send_batch([message("msg_a")], RecordingFirstByteGuard())
    assert (handed.outcome, handed.provider_id) == ("accepted", "msg_a")
