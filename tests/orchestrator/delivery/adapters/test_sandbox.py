"""The sandbox: keeps each message once, and asks for a retry when it cannot."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from schemas.message import Message
from services.kit.errors import Transient
from services.orchestrator.delivery.adapters.sandbox.adapter import NAME
from services.orchestrator.delivery.adapters.storing_adapter import StoringAdapter
from tests.support.webhook_receiver import RecordingFirstByteGuard, message


@asynccontextmanager
async def adapter_under_contract() -> AsyncIterator[StoringAdapter]:
    """For tests/contracts/test_adapters.py."""
    stored: dict[str, Message] = {}

    async def store_messages(messages: Sequence[Message]) -> None:
        stored.update({each.id: each for each in messages})

    yield StoringAdapter(NAME, store_messages)


async def test_it_keeps_what_it_would_have_sent_while_the_gate_is_open() -> None:
    gate = RecordingFirstByteGuard()
    kept: list[Message] = []

    async def keep(messages: Sequence[Message]) -> None:
        kept.extend(messages)
        assert gate.after_calls == []

    await StoringAdapter(NAME, keep).send_batch([message("msg_a"), message("msg_a"), message("msg_b")], gate)
    assert [each.id for each in kept] == ["msg_a", "msg_b"]
    assert sorted(gate.after_calls) == ["msg_a", "msg_b"]


async def test_a_busy_database_means_retry_for_all_that_were_in_time() -> None:
    async def keep(messages: Sequence[Message]) -> None:
        raise Transient("busy", retry_after=2.0)

    gate = RecordingFirstByteGuard(late={"msg_b"})
    handed = await StoringAdapter(NAME, keep).send_batch([message("msg_a"), message("msg_b")], gate)
    assert [(each.outcome, each.retry_after) for each in handed] == [("retry", 2.0), ("retry", None)]
    assert gate.after_calls == ["msg_a"]
