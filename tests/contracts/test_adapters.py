"""What every adapter keeps, whichever it is."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from schemas.adapter_registry import ADAPTER_REGISTRY
from schemas.message import Message
from schemas.vocabulary import CHANNELS
from services.kit.runtime.clock import ManualClock
from services.orchestrator.delivery.adapters.definition import Adapter
from services.orchestrator.delivery.adapters.null.adapter import NullAdapter
from services.orchestrator.delivery.adapters.sandbox.adapter import SandboxAdapter
from services.orchestrator.delivery.adapters.webhook.adapter import WebhookAdapter, WebhookAdapterSettings
from services.orchestrator.delivery.deadline import PastDeadline
from tests.support.webhook_receiver import SECRET, Receiver, RecordingFirstByteGuard, message, serving


class Kept(list[Message]):
    """What a sandbox would have stored."""

    async def keep(self, messages: Sequence[Message]) -> None:
        known = {each.id for each in self}
        self.extend(each for each in messages if each.id not in known)


@pytest.fixture(params=["null", "sandbox", "webhook"])
async def adapter(request: Any) -> AsyncIterator[Adapter]:
    if request.param != "webhook":
        found: Adapter = NullAdapter() if request.param == "null" else SandboxAdapter(Kept().keep)
        yield found
        await found.close()
        return
    async with serving(Receiver()) as url:
        webhook = WebhookAdapter(
            WebhookAdapterSettings(url=url, secret=SECRET, allow_loopback_http=True), ManualClock(0)
        )
        yield webhook
        await webhook.close()


def test_the_list_names_each_adapter_once() -> None:
    assert list(ADAPTER_REGISTRY.declarations) == ["sandbox", "webhook", "null"]


async def test_each_message_gets_one_answer_in_order(adapter: Adapter) -> None:
    messages = [message(f"msg_{number}", channel=CHANNELS[number % 4]) for number in range(40)]
    gate = RecordingFirstByteGuard()
    handed = await adapter.send_batch(messages, gate)
    assert [(each.message_id, each.outcome) for each in handed] == [(each.id, "accepted") for each in messages]
    assert adapter.idempotent and all(map(ADAPTER_REGISTRY.declarations[adapter.name].serves, CHANNELS))


async def test_the_gate_is_asked_before_and_told_after_each_first_byte(adapter: Adapter) -> None:
    gate = RecordingFirstByteGuard()
    await adapter.send_batch([message("msg_a"), message("msg_b")], gate)
    assert sorted(gate.before_calls) == sorted(gate.after_calls) == ["msg_a", "msg_b"]
    assert all(gate.calls.index(("before", each)) < gate.calls.index(("after", each)) for each in ("msg_a", "msg_b"))


async def test_a_message_past_its_deadline_is_not_written_and_the_others_are(adapter: Adapter) -> None:
    gate = RecordingFirstByteGuard(late={"msg_b"})
    handed = await adapter.send_batch([message("msg_a"), message("msg_b"), message("msg_c")], gate)
    assert [each.outcome for each in handed] == ["accepted", "retry", "accepted"]
    assert handed[1].detail == "past_deadline"
    assert sorted(gate.after_calls) == ["msg_a", "msg_c"]


async def test_an_empty_batch_is_nothing(adapter: Adapter) -> None:
    assert await adapter.send_batch([], RecordingFirstByteGuard()) == []


async def test_answers_hold_no_address(adapter: Adapter) -> None:
    handed = await adapter.send_batch([message("msg_a")], RecordingFirstByteGuard())
    assert "ada@example.org" not in repr(handed)


def test_the_gatekeeper_refuses_as_the_dispatcher_does() -> None:
    with pytest.raises(PastDeadline):
        RecordingFirstByteGuard(late={"msg_a"}).before("msg_a")
