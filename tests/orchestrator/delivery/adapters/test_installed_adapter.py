"""What is done for every adapter alike: trial mode, and the change to an adapter with new secrets."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from schemas.message import HandoverResult, Message
from schemas.reasons import Reason
from schemas.vocabulary import MessageState
from services.orchestrator.delivery.adapter_health import AdapterHealth
from services.orchestrator.delivery.adapters.definition import FirstByteGuard
from services.orchestrator.delivery.adapters.installed_adapter import InstalledAdapter
from services.orchestrator.delivery.attempts import AttemptResult, decide_next_state
from services.orchestrator.trial_recipients import parse_recipients
from tests.support.webhook_receiver import RecordingFirstByteGuard, message


class Provider:
    """Takes everything, once `answers` is set."""

    name = "a"
    idempotent = True

    def __init__(self) -> None:
        self.taken: list[str] = []
        self.answers = asyncio.Event()
        self.answers.set()
        self.closed = 0

    async def send_batch(self, messages: Sequence[Message], first_byte: FirstByteGuard) -> list[HandoverResult]:
        for each in messages:
            first_byte.before(each.id)
            first_byte.after(each.id)
            self.taken.append(each.id)
        await self.answers.wait()
        assert not self.closed
        return [HandoverResult(each.id, "accepted") for each in messages]

    async def close(self) -> None:
        self.closed += 1


def three() -> list[Message]:
    return [message("m-1", to="eve@example.net"), message("m-2"), message("m-3", to="eve@example.net")]


async def test_the_adapter_never_sees_a_message_that_trial_mode_keeps_back() -> None:
    provider, gate = Provider(), RecordingFirstByteGuard()
    results = await InstalledAdapter(provider, parse_recipients("ada@example.org")).send_batch(three(), gate)
    assert [(each.message_id, each.outcome, each.fault) for each in results] == [
        ("m-1", "rejected", "trial"),
        ("m-2", "accepted", None),
        ("m-3", "rejected", "trial"),
    ]
    assert provider.taken == gate.before_calls == ["m-2"]
    assert "eve" not in str(results)


async def test_with_nobody_allowed_it_is_not_called_and_without_a_list_it_gets_all() -> None:
    provider = Provider()
    nobody = await InstalledAdapter(provider, parse_recipients("c-9")).send_batch(three(), RecordingFirstByteGuard())
    assert {each.fault for each in nobody} == {"trial"} and provider.taken == []
    await InstalledAdapter(provider, None).send_batch(three(), RecordingFirstByteGuard())
    assert provider.taken == ["m-1", "m-2", "m-3"]


@pytest.mark.parametrize("number", [1, 8])
async def test_a_message_that_was_kept_back_ends_unsent_and_gives_its_contact_back(number: int) -> None:
    (result,) = await InstalledAdapter(Provider(), parse_recipients("c-9")).send_batch(
        [message()], RecordingFirstByteGuard()
    )
    end = decide_next_state(AttemptResult("c-1", number, result, True, "a"), 0)
    assert (end.state, end.contact, end.until) == (MessageState.FAILED, None, None)
    assert end.failure_reason is Reason.TRIAL_MODE


async def test_it_says_nothing_of_the_provider_health() -> None:
    kept_back = [HandoverResult(f"m-{number}", "rejected", fault="trial") for number in range(40)]
    health = AdapterHealth()
    health.start(30)
    health.finish([HandoverResult("m", "unknown")] * 9 + kept_back, 0.1)
    health.start(1)
    health.finish([HandoverResult("m", "unknown")], 0.1)
    assert health.report().cause == "failing"


async def test_what_is_under_way_ends_by_the_adapter_that_began_it() -> None:
    former, following = Provider(), Provider()
    installed = InstalledAdapter(former, None)
    former.answers.clear()
    under_way = asyncio.create_task(installed.send_batch([message("m-1")], RecordingFirstByteGuard()))
    await asyncio.sleep(0)
    await installed.replace(following)
    await installed.send_batch([message("m-2")], RecordingFirstByteGuard())
    assert (former.closed, following.taken) == (0, ["m-2"])
    former.answers.set()
    assert [each.outcome for each in await under_way] == ["accepted"]
    assert (former.closed, former.taken, following.closed) == (1, ["m-1"], 0)
    await installed.replace(Provider())
    assert (former.closed, following.closed) == (1, 1)


async def test_once_an_adapter_may_double_nothing_is_repeated_that_it_might_have_sent() -> None:
    installed, webhooks = InstalledAdapter(Provider(), None), Provider()
    webhooks.idempotent = False
    await installed.replace(webhooks)
    assert not installed.idempotent
    await installed.replace(Provider())
    assert not installed.idempotent
