"""The life of dead letters: they are found in all services, tried, applied again once, or closed with a reason."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from schemas.roles import Role
from schemas.times import DAY, HOUR, format_instant
from services.kit.bus.dead_letter_queue import CLOSED_RETENTION
from services.kit.bus.protocol import Outgoing
from services.orchestrator.access import api_keys
from services.orchestrator.dead_letters import store
from tests.support.document_builders import MONDAY, campaign, customer, event, policy
from tests.support.live_product import Live, live

pytestmark = pytest.mark.wired

EVENTS = "customer.events"
PATH = "/v1/dead-letters"
AHEAD = MONDAY + 3 * DAY
"""So far ahead that an event of this time is refused today, and taken the day after tomorrow."""

ORDER = event("shop.offer", "e-offer", AHEAD)
OPT_OUT = event("tactful.preference.changed", "e-choice", AHEAD, opt_outs=[{"topic": "news"}])
COMPLAINT = {**event("tactful.situation.opened", "e-complaint", AHEAD), "data": {"kind": "complaint", "ref": "c-77"}}


@pytest.fixture
async def product(tmp_path: Path) -> AsyncIterator[Live]:
    async with live(tmp_path, MONDAY) as running:
        await set_up(running)
        yield running


async def set_up(running: Live) -> None:
    await running.policy(policy())
    await running.campaign(campaign())
    await running.customer(customer())


async def publish(product: Live, *documents: dict[str, Any] | bytes, key: bytes = b"c-1") -> None:
    """Publish records to the log as a producer would, past the checks of the HTTP API."""
    values = [each if isinstance(each, bytes) else json.dumps(each).encode() for each in documents]
    await product.together.bus.publish([Outgoing(EVENTS, key, value) for value in values])
    await product.settle()


async def letters(product: Live, **filters: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = (await product.ask("GET", PATH, params=filters))["items"]
    return items


async def finish(product: Live, job: dict[str, Any]) -> dict[str, Any]:
    """Wait until a job has ended."""
    async with asyncio.timeout(20):
        while True:
            found: dict[str, Any] = await product.ask("GET", f"{PATH}/jobs/{job['id']}")
            if found["state"] not in ("queued", "running"):
                return found
            await asyncio.sleep(0.05)


async def redrive(product: Live, **body: Any) -> dict[str, Any]:
    return await finish(product, await product.ask("POST", f"{PATH}/redrive", {"reason": "clock mended", **body}))


async def client_of(product: Live, role: Role) -> httpx.AsyncClient:
    _, key = await api_keys.create_key(product.database, f"the-{role}", role, "tests", product.clock.now())
    return product._client(key)


def series(product: Live, text: str, name: str) -> float:
    (line,) = [each for each in text.splitlines() if each.startswith(name)]
    return float(line.rpartition(" ")[2])


async def test_letters_of_all_three_services_are_tried_and_applied_once(product: Live) -> None:
    await publish(product, ORDER, OPT_OUT, COMPLAINT)
    page = await product.ask("GET", PATH)
    by_service = {each["service"]: each for each in page["items"]}
    assert set(by_service) == {"orchestrator", "preference", "suppression"}
    assert {each["service"]: each["open"] for each in page["services"]} == dict.fromkeys(by_service, 1)
    assert all(each["answers"] and each["oldest"] for each in page["services"])
    order = by_service["orchestrator"]
    assert order["id"].startswith("orchestrator-") and order["state"] == "open"
    assert order["event"] == {"source": "/shop", "id": "e-offer", "type": "shop.offer"}
    assert (order["customer"], order["problems"][0]["pointer"]) == ("c-1", "/time")

    letter = await product.ask("GET", f"{PATH}/{order['id']}")
    assert letter["dry_run"]["effect"] == "rejected"
    assert letter["dry_run"]["problems"][0]["pointer"] == "/time"
    assert json.loads(letter["content"]["value"]["text"]) == ORDER
    assert letter["content"]["key"] == {"text": "c-1"}

    # A day on, the times are no longer too far ahead. A dry run tells what would happen, and changes nothing.
    await product.at(AHEAD)
    letter = await product.ask("GET", f"{PATH}/{order['id']}")
    assert letter["dry_run"]["effect"] == "applied"
    (decision,) = letter["dry_run"]["decisions"]
    assert (decision["campaign"], decision["event"]["id"]) == ("offer", "e-offer")
    assert await product.decisions() == []
    for service in ("preference", "suppression"):
        tried = await product.ask("GET", f"{PATH}/{by_service[service]['id']}")
        assert tried["dry_run"]["effect"] == "applied", tried
    assert (await product.ask("GET", "/v1/preferences/c-1"))["opt_outs"] == []

    rehearsed = await product.ask("POST", f"{PATH}/redrive", {"filter": {}, "dry_run": True})
    assert [each["effect"] for each in rehearsed["items"]] == ["applied"] * 3
    assert [each["state"] for each in await letters(product)] == ["open"] * 3

    ended = await redrive(product, filter={}, rate=100)
    assert (ended["state"], ended["total"], ended["done"], ended["results"]["redriven"]) == ("done", 3, 3, 3)
    assert ended["items"] == []
    assert [each["event"]["id"] for each in await product.decisions()] == ["e-offer"]
    assert (await product.ask("GET", "/v1/preferences/c-1"))["opt_outs"] == [{"topic": "news"}]
    situations = await product.ask("GET", "/v1/situations/c-1")
    assert [each["ref"] for each in situations["situations"]] == ["c-77"]

    for each in await letters(product):
        assert (each["state"], each["closed_by"], each["close_reason"]) == ("redriven", "admin", "clock mended")
        assert (each["effect"], each["job"], each["redrives"]) == ("applied", ended["id"], 1)
    again = await redrive(product, ids=[order["id"]])
    assert again["results"]["closed_before"] == 1 and again["items"][0]["detail"] == "it is redriven already"
    assert len(await product.decisions()) == 1
    assert (await product.editor.post(f"{PATH}/{order['id']}/redrive", json={"reason": "x"})).status_code == 409


async def test_an_event_that_was_sent_again_meanwhile_is_not_applied_twice(product: Live) -> None:
    await publish(product, ORDER, OPT_OUT, COMPLAINT)
    await product.at(AHEAD)
    await publish(product, ORDER, OPT_OUT, COMPLAINT)
    assert len(await product.decisions()) == 1
    open_letters = await letters(product, state="open")
    assert len(open_letters) == 3
    for each in open_letters:
        assert (await product.ask("GET", f"{PATH}/{each['id']}"))["dry_run"]["effect"] == "duplicate"
    assert (await redrive(product, filter={}))["results"]["redriven"] == 3
    assert {each["effect"] for each in await letters(product)} == {"duplicate"}
    assert len(await product.decisions()) == 1


async def test_what_is_still_wrong_stays_open_and_says_so(product: Live) -> None:
    await publish(product, b"not json", ORDER)
    ended = await redrive(product, ids=[each["id"] for each in await letters(product)])
    assert ended["results"]["still_dead"] == 2
    assert all("it still cannot be applied" in each["detail"] for each in ended["items"])
    found = await letters(product)
    assert {each["service"] for each in found} == {"orchestrator", "suppression"}
    assert [(each["state"], each["redrives"], each["closed_at"]) for each in found] == [("open", 1, None)] * 2


async def test_a_discarded_letter_keeps_who_and_why(product: Live) -> None:
    await publish(product, ORDER)
    (letter,) = await letters(product)
    path = f"{PATH}/{letter['id']}/discard"
    for body in ({}, {"reason": ""}, {"reason": " \n"}, {"reason": "x", "force": True}):
        assert (await product.editor.post(path, json=body)).status_code == 422
    closed = await product.ask("POST", path, {"reason": "a test of the shop"})
    assert (closed["state"], closed["closed_by"], closed["close_reason"]) == (
        "discarded",
        "admin",
        "a test of the shop",
    )
    assert closed["closed_at"] == format_instant(MONDAY)
    assert (await product.editor.post(path, json={"reason": "again"})).status_code == 409
    await product.at(AHEAD)
    assert (await redrive(product, ids=[letter["id"]]))["results"]["closed_before"] == 1
    assert await product.decisions() == []


async def test_who_may_see_the_bytes_and_who_may_act(product: Live) -> None:
    await publish(product, ORDER)
    (letter,) = await letters(product)
    path = f"{PATH}/{letter['id']}"
    async with await client_of(product, Role.VIEWER) as viewer:
        assert (await viewer.get(PATH)).status_code == 403
        assert (await viewer.get(path)).status_code == 403
    async with await client_of(product, Role.OPERATOR) as operator:
        seen = (await operator.get(path)).json()
        assert seen["content"] is None and "operator" in seen["content_hidden"]
        assert seen["problems"] and seen["dry_run"]["effect"] == "rejected"
        assert (await operator.post(f"{path}/discard", json={"reason": "test"})).status_code == 200
    async with await client_of(product, Role.AUDITOR) as auditor:
        assert (await auditor.get(path)).json()["content"]["key"] == {"text": "c-1"}
        assert (await auditor.post(f"{path}/discard", json={"reason": "test"})).status_code == 403
        assert (await auditor.post(f"{PATH}/redrive", json={"filter": {}, "reason": "x"})).status_code == 403
    assert (await letters(product))[0]["closed_by"] == "the-operator"


@pytest.mark.parametrize(
    "id", ["orchestrator-99", "billing-1", "preference-", "preference-x", "1", "preference-1-1", "preference-01"]
)
async def test_an_unknown_letter_is_not_found(product: Live, id: str) -> None:
    assert (await product.editor.get(f"{PATH}/{id}")).status_code == 404
    assert (await product.editor.post(f"{PATH}/{id}/discard", json={"reason": "x"})).status_code == 404
    assert (await product.editor.get(f"{PATH}/jobs/{id}")).status_code == 404


@pytest.mark.parametrize(
    "body",
    [
        {"reason": "x"},
        {"ids": ["orchestrator-1"]},
        {"ids": [], "reason": "x"},
        {"ids": ["orchestrator-1"], "reason": "  "},
        {"ids": ["orchestrator-1"], "filter": {}, "reason": "x"},
        {"filter": {"service": "billing"}, "reason": "x"},
        {"filter": {}, "rate": 0, "reason": "x"},
    ],
)
async def test_a_redrive_names_its_letters_and_its_reason(product: Live, body: dict[str, Any]) -> None:
    response = await product.editor.post(f"{PATH}/redrive", json=body)
    assert response.status_code == 422, response.text


async def test_a_filter_that_matches_nothing_makes_no_job(product: Live) -> None:
    response = await product.editor.post(f"{PATH}/redrive", json={"filter": {"type": "shop.never"}, "reason": "x"})
    assert (response.status_code, response.json()["code"]) == (409, "nothing_to_redrive")


async def test_filters_and_pages_go_through_all_services(product: Live) -> None:
    for number in range(4):
        await publish(product, {**ORDER, "id": f"o-{number}"}, {**OPT_OUT, "id": f"p-{number}"})
        await publish(product, {**COMPLAINT, "id": f"s-{number}"})
        if number == 1:
            await product.at(MONDAY + HOUR)
    everything = await letters(product)
    assert len(everything) == 12
    assert [each["at"] for each in everything] == sorted((each["at"] for each in everything), reverse=True)
    paged: list[dict[str, Any]] = []
    after = None
    while True:
        page = await product.ask("GET", PATH, params={"limit": "5", **({"after": after} if after else {})})
        assert len(page["items"]) <= 5
        paged += page["items"]
        if (after := page["next"]) is None:
            break
    assert paged == everything
    assert len(await letters(product, service="preference")) == 4
    assert len(await letters(product, type="shop.offer")) == 4
    assert len(await letters(product, customer="c-1", state="open")) == 12
    assert await letters(product, customer="c-2") == []
    assert len(await letters(product, code=everything[0]["code"], service=everything[0]["service"])) == 4
    assert await letters(product, code="no_such_code") == []
    assert len(await letters(product, **{"from": format_instant(MONDAY + HOUR)})) == 6
    assert len(await letters(product, to=format_instant(MONDAY + HOUR))) == 6
    assert await letters(product, topic="another.topic") == []


async def test_a_service_that_does_not_answer_is_named(product: Live) -> None:
    await publish(product, COMPLAINT, OPT_OUT)

    async def unavailable(scope: Scope, receive: Receive, send: Send) -> None:
        await JSONResponse({"code": "database_gone"}, 503)(scope, receive, send)

    gateway = product.together.app
    preference, gateway.apps["preference"] = gateway.apps["preference"], unavailable
    page = await product.ask("GET", PATH)
    assert [each["service"] for each in page["items"]] == ["suppression"]
    silent = {each["service"]: each for each in page["services"]}["preference"]
    assert (silent["answers"], silent["open"]) == (False, None)
    assert "preference does not answer" in silent["detail"]
    assert (await product.editor.get(f"{PATH}/preference-1")).status_code == 503
    # A job must not pass by the letters of that service, but facts of the others go ahead.
    refused = await product.editor.post(f"{PATH}/redrive", json={"filter": {}, "reason": "x"})
    assert refused.status_code == 503 and "preference" in refused.json()["detail"]
    job = await product.ask("POST", f"{PATH}/redrive", {"ids": ["preference-1", "suppression-1"], "reason": "x"})
    async with asyncio.timeout(20):
        while not ((found := await product.ask("GET", f"{PATH}/jobs/{job['id']}"))["waiting"] and found["done"]):
            await asyncio.sleep(0.05)
    assert (found["state"], found["done"]) == ("running", 1)
    assert "preference does not answer" in found["waiting"]
    gateway.apps["preference"] = preference
    ended = await finish(product, job)
    assert (ended["state"], ended["done"], ended["waiting"]) == ("done", 2, None)


async def test_a_letter_is_shown_although_nobody_can_tell_what_it_would_do(product: Live) -> None:
    await publish(product, ORDER)
    await product.at(AHEAD)

    async with product.together.databases["preference"].write() as tx:
        await tx.execute("ALTER TABLE preference_state RENAME TO elsewhere")
    shown = await product.ask("GET", f"{PATH}/orchestrator-1")
    assert shown["event"]["id"] == "e-offer" and shown["content"]["value"]
    assert shown["dry_run"] is None and "facts cannot be told" in shown["dry_run_problem"]


async def test_no_letter_decides_before_an_opt_out_whose_service_does_not_answer(product: Live) -> None:
    await publish(product, ORDER, OPT_OUT)
    await product.at(AHEAD)
    gateway = product.together.app
    preference = gateway.apps["preference"]

    async def redrives_nothing(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"].endswith("/dead-letters/redrive"):
            await JSONResponse({"code": "database_gone"}, 503)(scope, receive, send)
        else:
            await preference(scope, receive, send)

    gateway.apps["preference"] = redrives_nothing
    job = await product.ask("POST", f"{PATH}/redrive", {"filter": {}, "reason": "x"})
    async with asyncio.timeout(20):
        while not (found := await product.ask("GET", f"{PATH}/jobs/{job['id']}"))["waiting"]:
            await asyncio.sleep(0.05)
    await asyncio.sleep(1.0)  # longer than the pause of a job that has nothing to do
    assert (await product.ask("GET", f"{PATH}/jobs/{job['id']}"))["done"] == found["done"] == 0
    gateway.apps["preference"] = preference
    assert (await finish(product, job))["done"] == 2
    assert [each["reason"] for each in await product.decisions()] == ["opted_out_topic"]


async def test_newer_choices_of_the_customer_stay_and_are_told(product: Live) -> None:
    stale = event("tactful.preference.changed", "e-old", MONDAY + 2 * DAY, locale="de", opt_outs=[{"topic": "news"}])
    await publish(product, stale)
    await product.at(MONDAY + 3 * DAY)
    await product.ask("PATCH", "/v1/preferences/c-1", {"locale": "fr"})
    (letter,) = await letters(product)
    tried = await product.ask("GET", f"{PATH}/{letter['id']}")
    assert tried["dry_run"]["effect"] == "applied"
    assert "what is newer stays as it is" in tried["dry_run"]["warnings"][0]
    await redrive(product, ids=[letter["id"]])
    now = await product.ask("GET", "/v1/preferences/c-1")
    assert (now["locale"], now["opt_outs"]) == ("fr", [{"topic": "news"}])


async def test_an_opt_out_among_the_letters_holds_for_the_messages_of_the_others(product: Live) -> None:
    await publish(product, ORDER)
    await product.at(MONDAY + HOUR)
    await publish(product, OPT_OUT)
    await product.at(AHEAD)
    await redrive(product, filter={})
    assert [each["reason"] for each in await product.decisions()] == ["opted_out_topic"]
    assert await product.inbox() == []


async def test_a_message_that_waits_for_the_end_of_a_situation_is_woken(tmp_path: Path) -> None:
    async with live(tmp_path, MONDAY) as product:
        never = {"after": {"situation": "complaint"}, "within": "1h", "while_open": True}
        calm = {"id": "calm", "scope": {"intents": ["advertise"]}, "never": never, "on_match": "defer"}
        complaint = {"kind": "complaint", "opens": [{"event": "shop.complaint"}], "closes": [], "lapses": "60d"}
        await product.policy(policy(situations=[complaint], contact_history=[calm]))
        await product.campaign(campaign())
        await product.customer(customer())
        await product.send({**COMPLAINT, "time": format_instant(MONDAY)})
        await product.send(event("shop.offer", "e-1"))
        assert [each["outcome"] for each in await product.decisions()] == ["defer"]
        closed = {**event("tactful.situation.closed", "e-closed", AHEAD), "data": COMPLAINT["data"]}
        await publish(product, closed)
        await product.at(AHEAD)
        assert await product.inbox() == []
        await redrive(product, filter={"service": "suppression"})
        await product.at(AHEAD + 2 * HOUR)
        assert len(await product.inbox()) == 1


async def test_a_job_goes_on_after_a_restart(tmp_path: Path) -> None:
    async with live(tmp_path, MONDAY) as before:
        await set_up(before)
        await publish(before, *({**ORDER, "id": f"o-{number}"} for number in range(6)))
        await before.at(AHEAD)
        job = await before.ask("POST", f"{PATH}/redrive", {"filter": {}, "rate": 2, "reason": "clock mended"})
        async with asyncio.timeout(20):
            while not (await before.ask("GET", f"{PATH}/jobs/{job['id']}"))["done"]:
                await asyncio.sleep(0.05)
    async with live(tmp_path, AHEAD) as after:
        found = await after.ask("GET", f"{PATH}/jobs/{job['id']}")
        assert 0 < found["done"] < 6
        async with after.database.write() as tx:  # the rest at once: the test has shown the rate
            await tx.execute("UPDATE redrive_job SET rate = 100")
        ended = await finish(after, job)
        assert ended["results"] == {"redriven": 6, "still_dead": 0, "closed_before": 0, "not_found": 0}
        assert sorted(each["event"]["id"] for each in await after.decisions()) == [f"o-{n}" for n in range(6)]


async def test_a_cancelled_job_leaves_the_rest_open(product: Live) -> None:
    await publish(product, *({**ORDER, "id": f"o-{number}"} for number in range(5)))
    await product.at(AHEAD)
    job = await product.ask("POST", f"{PATH}/redrive", {"filter": {}, "rate": 1, "reason": "clock mended"})
    async with asyncio.timeout(20):
        while not (await product.ask("GET", f"{PATH}/jobs/{job['id']}"))["done"]:
            await asyncio.sleep(0.05)
    cancelled = await product.ask("POST", f"{PATH}/jobs/{job['id']}/cancel")
    assert cancelled["state"] == "cancelled"
    await asyncio.sleep(1.2)
    assert len(await letters(product, state="open")) >= 3
    assert (await product.editor.post(f"{PATH}/jobs/{job['id']}/cancel")).status_code == 409
    listed = await product.ask("GET", f"{PATH}/jobs")
    assert [(each["id"], each["state"]) for each in listed["items"]] == [(job["id"], "cancelled")]


async def test_the_gauges_clear_when_letters_are_closed(product: Live) -> None:
    await publish(product, ORDER, OPT_OUT)

    async def gauges() -> dict[str, float]:
        text = (await product.editor.get("/metrics")).text
        found = {}
        for service in ("orchestrator", "preference", "suppression"):
            label = f'{{service="{service}",topic="{EVENTS}"}}'
            found[service] = series(product, text, f"tactful_dead_letter_unresolved_records{label}")
            oldest = series(product, text, f"tactful_dead_letter_oldest_timestamp_seconds{label}")
            assert (oldest > 0) == (found[service] > 0)
        return found

    async def become(expected: list[float]) -> None:
        async with asyncio.timeout(20):
            while list((await gauges()).values()) != expected:
                await asyncio.sleep(0.2)

    await become([1, 1, 0])
    first = (await letters(product, service="orchestrator"))[0]["id"]
    await product.ask("POST", f"{PATH}/{first}/discard", {"reason": "test"})
    await become([0, 1, 0])
    await product.at(AHEAD)
    await redrive(product, filter={})
    await become([0, 0, 0])


async def test_closed_letters_and_ended_jobs_are_deleted_in_time(product: Live) -> None:
    await publish(product, ORDER, {**ORDER, "id": "e-2"})
    (open_letter, closed) = await letters(product)
    await product.ask("POST", f"{PATH}/{closed['id']}/discard", {"reason": "test"})
    queue = product.together.orchestrator.components.own_letters
    assert await queue.delete_expired() == 0
    job = await redrive(product, ids=[open_letter["id"]])
    product.clock.set(MONDAY + CLOSED_RETENTION + HOUR)
    assert await queue.delete_expired() == 1
    assert [each["id"] for each in await letters(product)] == [open_letter["id"]]
    async with product.database.write() as tx:
        await store.enqueue(tx, "redrive_new", [open_letter["id"]], 0, "me", "why", 1, product.clock.now())
    assert (await product.editor.get(f"{PATH}/jobs/{job['id']}")).status_code == 404
