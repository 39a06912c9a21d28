"""Adapters over HTTP: what is said of each, and a test message."""

from __future__ import annotations

import pytest

from schemas.message import HandoverResult
from schemas.times import MINUTE, SECOND
from services.orchestrator.delivery import store
from services.orchestrator.delivery.adapter_health import AdapterHealth
from services.orchestrator.delivery.adapter_trouble import FORGOTTEN_AFTER, TroubleNotes, load_troubles
from services.orchestrator.delivery.attempts import AttemptEnd
from services.orchestrator.delivery.channels.registry import CHANNELS_BY_ID
from tests.support.decision_records import decision, event, keep_message
from tests.support.handovers import claim
from tests.support.orchestrator_app import World

pytestmark = pytest.mark.wired


async def only_adapter(here: World, role: str = "viewer") -> dict[str, object]:
    (item,) = (await here.call(role, "GET", "/v1/adapters")).json()["items"]
    return dict(item)


async def begin_dispatching(here: World) -> None:
    """What a dispatcher does first."""
    async with here.database.write() as tx:
        await store.create_leases(tx)
        await store.renew_leases(tx, "a-dispatcher", await tx.now())


async def test_every_adapter_says_what_it_serves_and_that_it_can(here: World) -> None:
    await begin_dispatching(here)
    shown = await only_adapter(here)
    assert (shown["name"], shown["kind"], shown["destination"]) == ("sandbox", "sandbox", "inbox")
    assert [route["channel"] for route in shown["channels"]] == list(CHANNELS_BY_ID)  # type: ignore[attr-defined]
    assert (shown["state"], shown["until"], shown["processes"], shown["rate"]) == ("serving", None, 0, None)
    assert (shown["waiting"], shown["failures"]) == (0, [])


async def test_while_no_process_hands_over_no_adapter_is_said_to_serve(here: World) -> None:
    assert (await only_adapter(here))["state"] == "no_dispatcher"
    await begin_dispatching(here)
    assert (await only_adapter(here))["state"] == "serving"
    async with here.database.write() as tx:  # it was killed, and its lease has run out
        await tx.execute("UPDATE dispatcher SET expires = expires - :age", age=store.LEASE_DURATION)
    assert (await only_adapter(here))["state"] == "no_dispatcher"
    await begin_dispatching(here)
    async with here.database.write() as tx:  # it has ended
        await store.release_leases(tx, "a-dispatcher")
    assert (await only_adapter(here))["state"] == "no_dispatcher"


async def test_what_waits_is_counted_for_the_adapter_of_its_channel(here: World) -> None:
    async with here.database.write() as tx:
        rows = [(1, "sms", "m-1", "a", None), (2, "email", "m-2", "b", "sandbox"), (2, "email", "m-3", "b", "removed")]
        await tx.bulk_insert("outbox", ("shard", "channel", "message_id", "customer", "adapter"), rows)
    assert (await only_adapter(here))["waiting"] == 3


async def test_the_gravest_trouble_of_the_processes_that_live_is_shown(here: World) -> None:
    failing, account, gone = AdapterHealth(), AdapterHealth(), AdapterHealth()
    for health in (failing, gone):
        health.start(20)
        health.finish([HandoverResult("m", "unknown")] * 20, 0.1)
    account.start(1)
    account.finish([HandoverResult("m", "retry", fault="account")], 0.1)
    for owner, health in (("one", failing), ("two", account), ("three", gone)):
        await TroubleNotes(here.database, {"sandbox": health}, owner).note()
    async with here.database.write() as tx:
        await tx.execute("UPDATE adapter_trouble SET noted = noted - :age WHERE owner = 'three'", age=FORGOTTEN_AFTER)
    shown = await only_adapter(here)
    assert (shown["state"], shown["processes"]) == ("account", 2)
    assert shown["until"] is not None


async def test_what_is_mended_is_taken_back(here: World) -> None:
    health = AdapterHealth()
    notes = TroubleNotes(here.database, {"sandbox": health}, "one")
    health.start(1)
    health.finish([HandoverResult("m", "retry", fault="account")], 0.1)
    await notes.note()
    async with here.database.read() as tx:
        assert [(each.adapter, each.cause) for each in await load_troubles(tx)] == [("sandbox", "account")]
    health.start(1)
    health.finish([HandoverResult("m", "accepted")], 0.1)
    await notes.note()
    async with here.database.read() as tx:
        assert await load_troubles(tx) == []


async def test_failures_of_the_last_hour_are_told_without_addresses(here: World) -> None:
    async with here.database.write() as tx:
        now = await tx.now()
        for number, (ago, detail) in enumerate([(0, "550 no ada@example.com"), (SECOND, None), (61 * MINUTE, "old")]):
            of = decision(event(f"e-{number}"), outcome="send", reason="eligible")
            await keep_message(tx, of, adapter="sandbox")
            handover = await claim(tx, of.message_id)
            await store.end_attempts(tx, handover, [AttemptEnd(of.message_id, "rejected", detail)], now - ago)
    shown = await only_adapter(here)
    said = [(each["outcome"], each["detail"], each["count"]) for each in shown["failures"]]  # type: ignore[attr-defined]
    assert len(said) == 2
    assert said[1] == ("rejected", "no reason given", 1)
    assert "ada@example.com" not in said[0][1]


async def test_a_test_message_goes_out_past_all_rules_and_is_not_stored(here: World) -> None:
    body = {"to": "me@example.com", "channel": "email"}
    answer = (await here.call("operator", "POST", "/v1/adapters/sandbox/test", json=body)).json()
    assert (answer["channel"], answer["outcome"], answer["fault"]) == ("email", "accepted", None)
    assert answer["destination"] == "inbox"
    async with here.database.read() as tx:
        (kept,) = await tx.rows("SELECT message_id, to_address FROM sandbox_message")
        assert tuple(kept) == (answer["message_id"], "me@example.com")
        assert await tx.rows("SELECT 1 FROM message") == []
        assert await tx.rows("SELECT 1 FROM contact_history") == []


@pytest.mark.parametrize(
    ("name", "body", "status", "words"),
    [
        ("sandbox", {"to": "me@example.com"}, 422, "say which channel of sandbox to test"),
        ("sandbox", {"to": "nobody", "channel": "email"}, 422, "the address cannot be used"),
        ("sandbox", {"to": "", "channel": "email"}, 422, ""),
        ("sandbox", {"to": "me@example.com", "channel": "pigeon"}, 422, ""),
        ("sandbox", {"channel": "email"}, 422, ""),
        ("webhook", {"to": "me@example.com", "channel": "email"}, 404, "no adapter `webhook` serves a channel"),
    ],
)
async def test_a_test_that_cannot_be_sent_says_why(
    name: str, body: dict[str, str], status: int, words: str, here: World
) -> None:
    answer = await here.call("operator", "POST", f"/v1/adapters/{name}/test", json=body)
    assert answer.status_code == status
    assert words in answer.json()["detail"]


@pytest.mark.parametrize("role", ["viewer", "marketer", "agent", "publisher"])
async def test_only_operators_send_tests(role: str, here: World) -> None:
    body = {"to": "me@example.com", "channel": "email"}
    assert (await here.call(role, "POST", "/v1/adapters/sandbox/test", json=body)).status_code == 403
