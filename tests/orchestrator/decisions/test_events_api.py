"""Events over HTTP: durable before the answer, one validator, duplicates, waiting for decisions."""

import asyncio
import json
from typing import Any

import httpx
import pytest

from schemas.event import Event, decode_record, encode_event
from schemas.own_event_actions import OWN_EVENT_ACTIONS
from schemas.roles import Role, is_allowed
from services.kit.bus.protocol import Partition
from tests.support.decision_records import decision, event, keep
from tests.support.orchestrator_app import World

pytestmark = pytest.mark.wired

SINGLE = {"content-type": "application/cloudevents+json"}
BATCH = {"content-type": "application/cloudevents-batch+json"}


def document(id: str = "e-1", **changes: Any) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": id,
        "source": "/shop",
        "type": "shop.order.delivered",
        "subject": "c-1",
        "time": "2026-03-02T11:00:00Z",
        "data": {"total": 60},
        **changes,
    }


async def send(
    here: World, body: Any, headers: dict[str, str] = SINGLE, query: str = "", role: str = "connector"
) -> httpx.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return await here.call(role, "POST", f"/v1/events{query}", content=content, headers=headers)


async def logged(here: World) -> list[tuple[bytes | None, Event]]:
    consumer = here.bus.consumer("reader", ["customer.events"])

    async def ignore(_: set[Partition]) -> None:
        return None

    await consumer.start(ignore, ignore)
    try:
        found = await consumer.poll(100, 0.2)
    finally:
        await consumer.stop()
    return [
        (record.key, decode_record(record.headers, record.value)) for records in found.values() for record in records
    ]


async def lease(here: World, positions: dict[Partition, int]) -> None:
    async with here.database.write() as tx:
        for partition, offset in positions.items():
            await tx.execute(
                "INSERT INTO partition_lease (topic, partition, epoch, next_offset) VALUES (:t, :p, 1, :o)",
                t=partition.topic,
                p=partition.partition,
                o=offset,
            )


async def test_a_batch_under_the_media_type_of_one_event_is_told_that_of_batches(here: World) -> None:
    answer = await send(here, [document()], {"content-type": "application/json"})
    assert answer.status_code == 400
    assert "application/cloudevents-batch+json" in answer.json()["detail"]


async def test_every_missing_field_of_an_envelope_is_named(here: World) -> None:
    answer = await send(here, {"id": "e-1", "source": "/shop"})
    found = [error["pointer"] for error in answer.json()["errors"]]
    assert found == ["/specversion", "/type", "/subject", "/time"]


@pytest.mark.parametrize("kind", ["application/cloudevents+json", "application/json; charset=utf-8"])
async def test_an_event_is_in_the_log_before_the_answer(here: World, kind: str) -> None:
    answer = await send(here, document(), {"content-type": kind})
    assert answer.status_code == 202
    (item,) = answer.json()["items"]
    assert [note["code"] for note in item.pop("notes")] == ["nothing_listens"]
    assert item == {
        "event_id": "e-1",
        "source": "/shop",
        "status": "accepted",
        "status_url": "/v1/events?source=%2Fshop&id=e-1&customer=c-1",
    }
    [(key, found)] = await logged(here)
    assert (key, found.subject, found.id, bytes(found.data)) == (b"c-1", "c-1", "e-1", b'{"total": 60}')


@pytest.mark.integration
@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_an_event_in_the_log_that_could_not_be_noted_is_sent_again_and_has_one_effect(here: World) -> None:
    """The log has taken the event, and the table in which it is noted does not answer: neither yes nor no is true."""
    await here.key_of("connector")
    async with here.database.write() as tx:
        await tx.execute("LOCK TABLE accepted_event IN ACCESS EXCLUSIVE MODE")
        refused = await send(here, document())
    assert refused.status_code == 503 and refused.json()["code"] == "database_gone"
    assert "Send the same request again later" in refused.json()["detail"]
    assert int(refused.headers["retry-after"]) >= 5
    again = await send(here, document())
    assert again.status_code == 202
    assert [found.id for _, found in await logged(here)] == ["e-1", "e-1"]
    assert (await here.call("connector", "GET", again.json()["items"][0]["status_url"])).status_code == 200


async def test_a_batch_gets_an_item_for_each_in_its_order(here: World) -> None:
    batch = [document("e-1"), document("e-2", time="yesterday"), document("e-3", subject="c-2"), document("e-1")]
    items = (await send(here, batch, BATCH)).json()["items"]
    assert [item["status"] for item in items] == ["accepted", "invalid", "accepted", "accepted"]
    assert items[1]["errors"][0]["pointer"] == "/time"
    assert sorted(found.id for _, found in await logged(here)) == ["e-1", "e-3"]


async def test_an_event_that_is_known_is_a_duplicate_and_not_published_again(here: World) -> None:
    async with here.database.write() as tx:
        await keep(tx, event("e-1"))
    items = (await send(here, [document("e-1"), document("e-1", subject="c-2")], BATCH)).json()["items"]
    assert [item["status"] for item in items] == ["duplicate", "accepted"]
    assert [found.subject for _, found in await logged(here)] == ["c-2"]


BAD: list[tuple[Any, dict[str, str], int, str]] = [
    (document(specversion="0.3"), SINGLE, 422, "/specversion"),
    (document(subject=""), SINGLE, 422, "/subject"),
    (document(time="2026-03-04T12:00:00Z"), SINGLE, 422, "/time"),  # more than a day ahead
    (document(data=[1]), SINGLE, 422, "/data"),
    (b'{"specversion":"1.0","id":"a","id":"b"}', SINGLE, 422, ""),
    (b"not json", SINGLE, 422, ""),
    (b'{"a":1}', BATCH, 400, ""),
    (document(), {"content-type": "text/plain"}, 415, ""),
]


@pytest.mark.parametrize("body, headers, status, pointer", BAD)
async def test_what_is_no_event_is_refused_and_nothing_is_published(
    here: World, body: Any, headers: dict[str, str], status: int, pointer: str
) -> None:
    answer = await send(here, body, headers)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert [item["pointer"] for item in answer.json()["errors"]] in ([pointer], [])
    assert await logged(here) == []


async def test_waiting_answers_with_the_decisions_once_they_are_made(here: World) -> None:
    async def decide_a_little_later() -> None:
        ends: dict[Partition, int] = {}
        while not any(ends.values()):
            await asyncio.sleep(0.02)
            ends = await here.bus.end_offsets("customer.events")
        async with here.database.write() as tx:
            await keep(tx, event("e-1"), decision(event("e-1")))
        await lease(here, ends)

    await here.key_of("connector")
    answer, _ = await asyncio.gather(send(here, document(), query="?wait=10s"), decide_a_little_later())
    [item] = answer.json()["items"]
    assert (item["status"], [found["reason"] for found in item["decisions"]]) == ("accepted", ["no_consent"])


async def test_waiting_in_vain_is_no_failure(here: World) -> None:
    answer = await send(here, document(), query="?wait=1s")
    assert (answer.status_code, answer.json()["items"][0]["status"]) == (202, "accepted")
    assert "decisions" not in answer.json()["items"][0]


@pytest.mark.parametrize(
    "change",
    [{"data": {"total": 61}}, {"type": "shop.order.paid"}, {"data": None}],
    ids=["data", "type", "no data"],
)
async def test_an_id_with_another_content_is_told_and_shows_nothing_of_the_first(
    here: World, change: dict[str, object]
) -> None:
    async with here.database.write() as tx:
        await keep(tx, event("e-1"), decision(event("e-1")))
    answer = await send(here, {**document("e-1"), **change}, query="?wait=1s")
    [item] = answer.json()["items"]
    assert item["status"] == "duplicate"
    assert "id_reused" in [note["code"] for note in item["notes"]]
    assert "decisions" not in item


async def test_the_same_event_again_is_no_other_content(here: World) -> None:
    first = event("e-1")
    async with here.database.write() as tx:
        await keep(tx, first, decision(first))
    again = {"specversion": "1.0", **json.loads(encode_event(first)), "time": "2026-03-02T08:00:01Z"}
    answer = await send(here, again, query="?wait=1s", role="agent")
    [item] = answer.json()["items"]
    assert (item["status"], [note["code"] for note in item["notes"] if note["pointer"] == "/id"]) == ("duplicate", [])
    assert [found["reason"] for found in item["decisions"]] == ["no_consent"]


async def test_within_one_request_the_first_of_an_id_counts(here: World) -> None:
    items = (await send(here, [document("e-1"), document("e-1", data={"total": 61})], BATCH)).json()["items"]
    assert [[note["code"] for note in item["notes"] if note["pointer"] == "/id"] for item in items] == [
        [],
        ["id_reused"],
    ]
    assert [bytes(found.data) for _, found in await logged(here)] == [b'{"total": 60}']


@pytest.mark.parametrize("wait", ["31s", "soon", "-1s", "5"])
async def test_a_wait_that_makes_no_sense_is_refused_before_anything_happens(here: World, wait: str) -> None:
    answer = await send(here, document(), query=f"?wait={wait}")
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/query/wait")
    assert await logged(here) == []


async def test_an_event_is_shown_with_its_decisions(here: World) -> None:
    path = "/v1/events?source=/shop&id=e-1"
    assert (await here.call("publisher", "GET", path)).status_code == 404
    here.keys["shop"] = await key_for(here, "shop", ["/shop"])
    async with here.database.write() as tx:
        await keep(tx, event("e-1"), decision(event("e-1")), decision(event("e-1"), "email"))
        await keep(tx, event("e-1", source="/crm"), decision(event("e-1", source="/crm")), offset=1)
    hidden = (await here.call("publisher", "GET", path, "shop")).json()
    assert (hidden["decisions"], [note["code"] for note in hidden["notes"]]) == ([], ["decisions_hidden"])
    body = (await here.call("viewer", "GET", path)).json()
    assert (body["event_id"], body["customer"], body["type"]) == ("e-1", "c-1", "shop.order.delivered")
    assert [item["channel"] for item in body["decisions"]] == ["sms", "email"]
    assert (await here.call("viewer", "GET", f"{path}&customer=c-2")).status_code == 404


async def key_for(here: World, name: str, sources: list[str], role: str = "publisher") -> str:
    body = {"name": name, "role": role, "sources": sources}
    made = await here.call("admin", "POST", "/v1/keys", json=body)
    assert made.status_code == 201, made.text
    assert made.json()["sources"] == sources
    return str(made.json()["key"])


@pytest.mark.parametrize("role", [role for role in Role if is_allowed(role, "events:write")])
async def test_a_key_of_sources_sends_and_sees_the_events_of_these_alone(here: World, role: str) -> None:
    here.keys["shop"] = await key_for(here, "shop", ["/shop", "urn:till"], role)
    other = document("e-2", source="/shopping")
    assert (await here.call("admin", "POST", "/v1/events", json=other)).status_code == 202
    for source, taken in {
        "/shop": True,
        "/shop/orders": True,
        "urn:till": True,
        "/shop/": True,
        "/shopping": False,
        "/": False,
        "urn:tills": False,
        "/Shop": False,
        "/crm": False,
    }.items():
        body = document(f"of {source}", source=source)
        answer = await here.call(role, "POST", "/v1/events", "shop", json=body)
        assert answer.status_code == (202 if taken else 403), answer.text
        [item] = (
            await here.call(role, "POST", "/v1/events", "shop", content=json.dumps([body]).encode(), headers=BATCH)
        ).json()["items"]
        assert (item["status"] != "invalid") is taken
        if taken:
            assert (await here.call(role, "GET", item["status_url"], "shop")).status_code == 200
        else:
            assert item["errors"][0]["pointer"] == "/source"
    theirs = await here.call(role, "GET", "/v1/events?source=/shopping&id=e-2", "shop")
    unknown = await here.call(role, "GET", "/v1/events?source=/shopping&id=e-3", "shop")
    assert theirs.status_code == unknown.status_code == 404
    of_request = {"trace_id": "", "instance": ""}
    assert theirs.json() | of_request == unknown.json() | of_request


async def test_a_publisher_without_sources_sees_what_it_has_sent_itself(here: World) -> None:
    for name in ("till", "app"):
        answer = await here.call("publisher", "POST", "/v1/events", name, json=document(f"of {name}"))
        assert answer.status_code == 202
    async with here.database.write() as tx:  # decided: it is known from the inbox too
        for name in ("till", "app", "kafka"):
            await keep(tx, event(f"of {name}"), decision(event(f"of {name}")), offset=ord(name[0]))
    seen = {
        (reader, name): (
            await here.call("publisher", "GET", f"/v1/events?source=/shop&id=of+{name}", reader)
        ).status_code
        for reader in ("till", "app")
        for name in ("till", "app", "kafka")
    }
    assert {pair for pair, status in seen.items() if status == 200} == {("till", "till"), ("app", "app")}
    assert set(seen.values()) == {200, 404}


@pytest.mark.parametrize(
    ("role", "name", "shown"),
    [("publisher", "till", True), ("publisher", "app", False), ("agent", "app", True), ("connector", "shop", True)],
)
async def test_sending_it_again_shows_its_decisions_to_whoever_may_see_it(
    here: World, role: str, name: str, shown: bool
) -> None:
    here.keys["shop"] = await key_for(here, "shop", ["/shop"], "connector")
    await here.call("publisher", "POST", "/v1/events", "till", json=json.loads(encode_event(event("e-1"))))
    async with here.database.write() as tx:
        await keep(tx, event("e-1"), decision(event("e-1")))
    again = json.loads(encode_event(event("e-1")))
    [item] = (await here.call(role, "POST", "/v1/events?wait=1s", name, json=again)).json()["items"]
    assert (item["status"], "decisions" in item) == ("duplicate", shown)


async def test_sending_it_again_makes_an_event_nobody_elses(here: World) -> None:
    for name in ("till", "app"):
        await here.call("publisher", "POST", "/v1/events", name, json=document())
    path = "/v1/events?source=/shop&id=e-1"
    assert (await here.call("publisher", "GET", path, "till")).status_code == 200
    assert (await here.call("publisher", "GET", path, "app")).status_code == 404


async def test_what_a_key_may_not_see_takes_as_long_as_what_is_unknown(here: World) -> None:
    """Both wait for what the log holds, so that the time tells nothing."""
    here.keys["shop"] = await key_for(here, "shop", ["/crm"])
    async with here.database.write() as tx:
        await keep(tx, event("e-1"), decision(event("e-1")))
    await send(here, document("e-2"))
    for id in ("e-1", "e-9"):
        started = asyncio.get_running_loop().time()
        answer = await here.call("publisher", "GET", f"/v1/events?source=/shop&id={id}&wait=1s", "shop")
        assert (answer.status_code, asyncio.get_running_loop().time() - started >= 1) == (404, True)


async def test_looking_waits_until_the_log_so_far_is_decided(here: World) -> None:
    await send(here, document())

    async def decide_a_little_later() -> None:
        await asyncio.sleep(0.1)
        async with here.database.write() as tx:
            await keep(tx, event("e-1"), decision(event("e-1")))
        await lease(here, await here.bus.end_offsets("customer.events"))

    looking = here.call("viewer", "GET", "/v1/events?source=/shop&id=e-1&wait=10s")
    answer, _ = await asyncio.gather(looking, decide_a_little_later())
    assert [item["outcome"] for item in answer.json()["decisions"]] == ["suppress"]


OWN = {
    "tactful.preference.changed": ({"paused_until": "2026-04-01T00:00:00Z"}, "preferences:write"),
    "tactful.customer.identified": ({"traits": {"name": "Ada"}}, None),
    "tactful.customer.identified with addresses": (
        {"addresses": [{"channel": "email", "address": "ada@example.org"}]},
        "preferences:write",
    ),
    "tactful.customer.erased": ({}, "customers:erase"),
    "tactful.situation.opened": ({"kind": "complaint"}, "situations:write"),
    "tactful.situation.closed": ({"kind": "complaint"}, "situations:write"),
    "tactful.situation.corrected": ({"kind": "complaint", "withdrawn": True}, "situations:write"),
    "tactful.agent.message": ({"campaign": "apology"}, "agent_messages:write"),
    "tactful.contact.reported": (
        {"channel": "phone", "class": "service", "intent": "inform", "at": "2026-03-02T10:00:00Z"},
        "contacts:write",
    ),
    "tactful.consent.requested": (
        {"request": "r-1", "channel": "email", "topic": "news", "expires": "2026-03-09T10:00:00Z"},
        "preferences:write",
    ),
    "tactful.address.verification_requested": (
        {"request": "r-1", "address": "a-1", "channel": "email", "expires": "2026-03-09T10:00:00Z"},
        "preferences:write",
    ),
    "tactful.feedback.given": ({"score": 3, "scale": 5}, None),
    "shop.order.delivered": ({"total": 1}, None),
}


@pytest.mark.parametrize("role", [role for role in Role if is_allowed(role, "events:write")])
async def test_a_role_sends_what_it_may_change_by_other_routes_too(here: World, role: Role) -> None:
    """As single events and in a batch; what is refused is not in the log."""
    refused, taken = set(), set()
    for number, (name, (data, action)) in enumerate(OWN.items()):
        body = document(f"e-{number}", type=name.partition(" ")[0], data=data)
        answer = await send(here, body, role=role)
        [item] = (await send(here, [body], BATCH, role=role)).json()["items"]
        if action is None or is_allowed(role, action):
            assert answer.status_code == 202, answer.text
            taken.add(f"e-{number}")
        else:
            refused.add(name)
            assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
            assert f"`{action}` needs one of the roles" in answer.json()["detail"]
            assert (item["status"], item["errors"][0]["code"]) == ("invalid", "forbidden")
    assert {found.id for _, found in await logged(here)} == taken
    if role is Role.PUBLISHER:
        assert refused == {name for name, (_, action) in OWN.items() if action is not None}


def test_every_own_type_with_an_action_is_tried() -> None:
    assert {name.partition(" ")[0] for name, (_, action) in OWN.items() if action} >= set(OWN_EVENT_ACTIONS)
