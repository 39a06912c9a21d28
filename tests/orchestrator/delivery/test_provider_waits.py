"""What a message that may be sent waits for at its provider: in the answers of the API, and as a metric."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from schemas.message import HandoverResult
from schemas.times import SECOND
from services.kit.db.database import Tx
from services.kit.observability.metrics import Registry
from services.orchestrator.adapter_settings import RouteSettings
from services.orchestrator.decisions.store import shard_of
from services.orchestrator.delivery.adapter_health import AdapterHealth
from services.orchestrator.delivery.adapter_pace import take_places
from services.orchestrator.delivery.adapter_trouble import FORGOTTEN_AFTER, TroubleNotes
from services.orchestrator.delivery.adapters.installed import Adapters
from services.orchestrator.delivery.adapters.null.adapter import NullAdapter
from services.orchestrator.delivery.metrics import DeliveryMetrics
from services.orchestrator.delivery.provider_waits import ProviderWait, find_provider_wait, provider_wait_check
from tests.support.decision_records import decision, event, keep_message
from tests.support.orchestrator_app import NOON, World, campaign, policy_document

pytestmark = pytest.mark.wired

OF = decision(event("e-1"), outcome="send", reason="eligible")
REFUSED = HandoverResult("m", "retry", fault="account")
BUSY = HandoverResult("m", "retry", retry_after=60.0, fault="throttle")
NO_ANSWER = HandoverResult("m", "unknown")


def installed(*names: str, rates: dict[str, float] | None = None) -> Adapters:
    routes = {"sms": tuple(RouteSettings(adapter=name) for name in names)}
    return Adapters({name: NullAdapter() for name in names}, routes, rates or {})


async def queue(here: World, queued_for: str | None = None, **changes: Any) -> str:
    """A message that waits in the outbox."""
    async with here.database.write() as tx:
        await keep_message(tx, OF, **{"state": "pending", "attempts": 0, "adapter": None, **changes})
        if changes.get("state", "pending") == "pending":
            row = (shard_of("c-1"), "sms", OF.message_id, "c-1", queued_for)
            await tx.bulk_insert("outbox", ("shard", "channel", "message_id", "customer", "adapter"), [row])
    return OF.message_id


async def note(here: World, adapter: str, results: Sequence[HandoverResult], owner: str = "one") -> None:
    health = AdapterHealth()
    health.start(len(results))
    health.finish(list(results), 0.1)
    await TroubleNotes(here.database, {adapter: health}, owner).note()


async def wait_of(here: World, adapters: Adapters) -> ProviderWait | None:
    async with here.database.read() as tx:
        return await find_provider_wait(tx, adapters, OF.message_id, "c-1")


@pytest.mark.parametrize(
    ("results", "cause"), [([REFUSED], "account"), ([BUSY], "throttled"), ([NO_ANSWER] * 10, "failing")]
)
async def test_what_its_adapter_suffers_from_is_said(here: World, results: list[HandoverResult], cause: str) -> None:
    await queue(here)
    assert await wait_of(here, installed("a")) is None  # its turn is about to come
    await note(here, "a", results)
    found = await wait_of(here, installed("a"))
    assert found is not None and (found.adapter, found.cause) == ("a", cause)
    assert found.until is not None and "a " in found.words
    async with here.database.write() as tx:
        await tx.execute("UPDATE adapter_trouble SET noted = noted - :age", age=FORGOTTEN_AFTER + SECOND)
    assert await wait_of(here, installed("a")) is None


async def test_the_gravest_of_what_processes_say_counts_and_the_adapter_that_it_waits_for(here: World) -> None:
    await queue(here, "b")
    await note(here, "b", [BUSY])
    await note(here, "b", [REFUSED], "two")
    await note(here, "a", [NO_ANSWER] * 10, "three")
    found = await wait_of(here, installed("a", "b"))
    assert found is not None and (found.adapter, found.cause) == ("b", "account")


async def use_up(tx: Tx, adapter: str, rate: float) -> None:
    assert (await take_places(tx, adapter, rate, 500, await tx.now())).taken


async def test_a_rate_that_is_used_up_is_said_while_it_is(here: World) -> None:
    await queue(here)
    slow = installed("a", rates={"a": 0.05})
    assert await wait_of(here, slow) is None
    async with here.database.write() as tx:
        await use_up(tx, "a", 0.05)
    found = await wait_of(here, slow)
    assert found is not None and (found.cause, found.words) == ("rate", "a has had as many messages as its rate allows")
    async with here.database.write() as tx:
        await tx.execute("UPDATE adapter_pace SET free_at = 0")
    assert await wait_of(here, slow) is None
    assert await wait_of(here, installed("a")) is None


async def test_a_message_that_is_tried_again_waits_for_the_adapter_that_did_not_take_it(here: World) -> None:
    await queue(here, state="retry", adapter="b", until=NOON + SECOND, attempts=1)
    assert await wait_of(here, installed("a", "b")) == ProviderWait("b", "retry", NOON + SECOND)


@pytest.mark.parametrize("state", ["accepted", "planned", "handing_over", "rejected", "suppressed"])
async def test_no_other_message_waits_for_its_provider(here: World, state: str) -> None:
    await queue(here, state=state, adapter="a")
    await note(here, "a", [REFUSED])
    assert await wait_of(here, installed("a")) is None


async def test_the_message_and_the_explanation_say_it(here: World) -> None:
    await here.enact(policy_document())
    await here.launch(campaign())
    id = await queue(here)
    assert (await here.call("viewer", "GET", f"/v1/messages/{id}")).json()["waits"] is None
    await note(here, "sandbox", [REFUSED])
    shown = (await here.call("viewer", "GET", f"/v1/messages/{id}")).json()["waits"]
    assert (shown["reason"], shown["adapter"], shown["cause"]) == ("provider_throttle", "sandbox", "account")
    assert "refuses the account" in shown["words"] and shown["until"]
    path = "/v1/why?customer=c-1&campaign=referral-ask"
    assert (await here.call("viewer", "GET", path)).json()["waits"] == {**shown, "message_id": id}
    assert (await here.call("viewer", "GET", f"{path}&at=2026-03-02T12:00:00Z")).json()["waits"] is None
    other = "/v1/why?customer=c-2&campaign=referral-ask"
    assert (await here.call("viewer", "GET", other)).json()["waits"] is None


async def test_how_many_wait_and_why_is_measured(here: World) -> None:
    registry, adapters = Registry(), installed("a", "b")
    check = provider_wait_check(here.database, adapters, DeliveryMetrics(registry, here.clock, ["a", "b"]))

    def value(adapter: str, cause: str) -> float | None:
        labels = {"adapter": adapter, "cause": cause}
        return registry.get_sample_value("tactful_provider_throttle_messages", labels)

    await queue(here, "b")
    await check()
    assert {value(name, cause) for name in ("a", "b") for cause in ("account", "failing", "rate")} == {0.0}
    await note(here, "b", [REFUSED])
    await check()
    assert (value("a", "account"), value("b", "account"), value("b", "failing")) == (0.0, 1.0, 0.0)
    async with here.database.write() as tx:
        await tx.execute("DELETE FROM adapter_trouble")
    await check()
    assert value("b", "account") == 0.0
