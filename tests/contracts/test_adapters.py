"""The contract of adapters, run against every adapter that is found."""

import importlib
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from schemas.adapter_registry import ADAPTER_REGISTRY
from schemas.addresses import canonical_address
from schemas.message import Message
from schemas.vocabulary import CHANNELS
from services.kit.errors import Permanent
from services.orchestrator.delivery.adapters.definition import Adapter, ReceiptRequest
from services.orchestrator.delivery.channels.registry import CHANNELS_BY_ID
from services.orchestrator.delivery.deadline import PastDeadline
from tests.support.webhook_receiver import RecordingFirstByteGuard, message

VALUES = {
    "customer": {"id": "c-1"},
    "event": {"type": "shop.opened"},
    "links": dict.fromkeys(("unsubscribe", "preferences"), "https://example.org/u"),
}


def _param(id: str) -> Any:
    """An adapter, with the markers of a test that starts a server where it needs one."""
    needs_server = ADAPTER_REGISTRY.declarations[id].needs_kafka
    return pytest.param(id, marks=pytest.mark.integration) if needs_server else id


@pytest.fixture(params=[_param(id) for id in ADAPTER_REGISTRY.declarations])
async def adapter(request: Any) -> AsyncIterator[Adapter]:
    """Each adapter that is found, built by the function `adapter_under_contract` of its own test module."""
    async with _find_tests(request.param).adapter_under_contract() as made:
        yield made
        await made.close()


def _find_tests(id: str) -> Any:
    """The test module of an adapter; of one outside the source tree, the module `under_contract` of its package."""
    try:
        return importlib.import_module(f"tests.orchestrator.delivery.adapters.test_{id}")
    except ModuleNotFoundError:
        return ADAPTER_REGISTRY.load_module(id, "under_contract")


def message_for(adapter: Adapter, id: str, number: int = 0) -> Message:
    """What a channel that the adapter serves makes of its sample, to its sample of an address, or to the one of the
    adapter's test module, `ADDRESSES`.
    """
    served = [channel for channel in CHANNELS if ADAPTER_REGISTRY.declarations[adapter.name].serves(channel)]
    channel = CHANNELS_BY_ID[served[number % len(served)]]
    content = channel.render(channel.compile_templates(channel.sample_content), VALUES, True)
    tests = _find_tests(adapter.name)
    address = getattr(tests, "ADDRESSES", {}).get(channel.id, channel.sample_address)
    return message(id, channel=channel.id, to=canonical_address(channel.id, address, None), content=content)


async def test_each_message_gets_one_answer_in_order(adapter: Adapter) -> None:
    messages = [message_for(adapter, f"msg_{number}", number) for number in range(40)]
    gate = RecordingFirstByteGuard()
    handed = await adapter.send_batch(messages, gate)
    assert [(each.message_id, each.outcome) for each in handed] == [(each.id, "accepted") for each in messages]


async def test_the_gate_is_asked_before_and_told_after_each_first_byte(adapter: Adapter) -> None:
    gate = RecordingFirstByteGuard()
    await adapter.send_batch([message_for(adapter, "msg_a"), message_for(adapter, "msg_b")], gate)
    assert sorted(gate.before_calls) == sorted(gate.after_calls) == ["msg_a", "msg_b"]
    assert all(gate.calls.index(("before", each)) < gate.calls.index(("after", each)) for each in ("msg_a", "msg_b"))


async def test_a_message_past_its_deadline_is_not_written_and_the_others_are(adapter: Adapter) -> None:
    gate = RecordingFirstByteGuard(late={"msg_b"})
    handed = await adapter.send_batch(
        [message_for(adapter, "msg_a"), message_for(adapter, "msg_b"), message_for(adapter, "msg_c")], gate
    )
    assert [each.outcome for each in handed] == ["accepted", "retry", "accepted"]
    assert handed[1].detail == "past_deadline"
    assert sorted(gate.after_calls) == ["msg_a", "msg_c"]


async def test_an_empty_batch_is_nothing(adapter: Adapter) -> None:
    assert await adapter.send_batch([], RecordingFirstByteGuard()) == []


async def test_answers_hold_no_address(adapter: Adapter) -> None:
    sent = message_for(adapter, "msg_a")
    handed = await adapter.send_batch([sent], RecordingFirstByteGuard())
    assert sent.to not in repr(handed)


async def test_a_message_that_cannot_be_handed_over_now_keeps_no_other_from_it(adapter: Adapter) -> None:
    """Raises nothing, whatever the content is: one result for each message."""
    odd = msgspec.structs.replace(message_for(adapter, "msg_b"), to="", content={})
    handed = await adapter.send_batch(
        [message_for(adapter, "msg_a"), odd, message_for(adapter, "msg_c")], RecordingFirstByteGuard()
    )
    assert [each.message_id for each in handed] == ["msg_a", "msg_b", "msg_c"]
    assert handed[0].outcome == handed[2].outcome == "accepted"


def test_the_gatekeeper_refuses_as_the_dispatcher_does() -> None:
    with pytest.raises(PastDeadline):
        RecordingFirstByteGuard(late={"msg_a"}).before("msg_a")


@pytest.mark.parametrize("id", [each.id for each in ADAPTER_REGISTRY.declarations.values() if each.has_receipts])
def test_receipts_are_refused_until_what_they_need_is_set(id: str) -> None:
    declaration = ADAPTER_REGISTRY.declarations[id]
    nothing = declaration.settings()
    assert declaration.receipts_need and declaration.missing_for_receipts(nothing) == declaration.receipts_need
    read_receipts = ADAPTER_REGISTRY.load_module(id, "receipts").read_receipts
    with pytest.raises(Permanent, match=f"TACTFUL_{id.upper()}__"):
        read_receipts(nothing, ReceiptRequest({}, {}, b"", 0))
