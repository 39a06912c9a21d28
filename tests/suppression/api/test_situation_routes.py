"""The HTTP API of a customer's situations."""

import asyncio

import pytest

from services.kit.bus.protocol import Consumer, Record
from tests.support.suppression_service import COMPLAINT, LOW_SCORE, NOW, TOPIC, Running, event

pytestmark = pytest.mark.wired

OPEN = {"action": "open", "kind": "complaint", "ref": "A"}


async def test_a_situation_opened_by_hand_stands_when_the_answer_comes(service: Running) -> None:
    await service.situations(COMPLAINT)
    answer = await service.http.post("/v1/situations/c-1", json=OPEN)
    assert (answer.status_code, answer.json()["applied"]) == (200, True)
    shown = (await service.http.get("/v1/situations/c-1")).json()
    assert shown["situations"] == [
        {
            "kind": "complaint",
            "ref": "A",
            "opened": "2026-03-02T10:00:00Z",
            "closed": None,
            "lapses": "2026-03-12T10:00:00Z",
            "open": True,
            "lapsed": False,
        }
    ]
    assert shown["items"][0]["event"]["source"] == "/tactful/situations/admin"


async def test_by_hand_and_by_event_close_one_another(service: Running) -> None:
    await service.situations(COMPLAINT)
    await service.events(event("shop.complaint.filed", {"case": "A"}))
    await service.http.post("/v1/situations/c-1", json=OPEN | {"action": "close"})
    (shown,) = (await service.http.get("/v1/situations/c-1")).json()["situations"]
    assert (shown["closed"], shown["open"]) == ("2026-03-02T10:00:00Z", False)


async def test_what_is_done_by_hand_is_an_event_on_the_log(service: Running) -> None:
    await service.situations(COMPLAINT)
    answer = (await service.http.post("/v1/situations/c-1", json=OPEN | {"at": "2026-03-01T10:00:00Z"})).json()
    consumer = service.bus.consumer("test", [TOPIC])
    records = await read_all(consumer)
    assert [record.key for record in records] == [b"c-1"]
    assert answer["event_id"].encode() in (records[0].value or b"")
    assert b'"time":"2026-03-01T10:00:00Z"' in (records[0].value or b"")


async def read_all(consumer: Consumer) -> list[Record]:
    assigned = asyncio.Event()

    async def on_assigned(_: object) -> None:
        assigned.set()

    async def on_revoked(_: object) -> None: ...

    await consumer.start(on_assigned, on_revoked)
    await assigned.wait()
    for partition in consumer.assigned():
        await consumer.seek(partition, 0)
    found = await consumer.poll(100, 2.0)
    await consumer.stop()
    return [record for records in found.values() for record in records]


async def test_a_reader_that_lags_is_said_openly(service: Running) -> None:
    await service.situations(COMPLAINT)
    await service.service.stop_consuming()
    answer = await service.http.post("/v1/situations/c-1", json=OPEN)
    assert (answer.status_code, answer.json()["applied"]) == (202, False)


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"kind": "complaints"}, "/kind"),
        ({"action": "reopen"}, "/action"),
        ({"at": "2026-03-02T10:00:01Z"}, "/at"),
        ({"cause": "x"}, "/cause"),
    ],
)
async def test_a_wrong_request_is_refused(service: Running, change: dict[str, str], pointer: str) -> None:
    await service.situations(COMPLAINT)
    answer = await service.http.post("/v1/situations/c-1", json=OPEN | change)
    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]
    assert "did you mean" in answer.text or pointer != "/kind"


async def test_the_history_comes_in_pages(service: Running) -> None:
    await service.situations(LOW_SCORE, COMPLAINT)
    await service.events(*(event("shop.complaint.filed", {"case": n}, id=f"e-{n}", time=NOW + n) for n in range(5)))
    first = (await service.http.get("/v1/situations/c-1", params={"limit": 3})).json()
    rest = (await service.http.get("/v1/situations/c-1", params={"limit": 3, "after": first["next"]})).json()
    assert [step["ref"] for step in first["items"] + rest["items"]] == [4, 3, 2, 1, 0]
    assert rest["next"] is None


@pytest.mark.parametrize(("role", "read", "write"), [("viewer", 403, 403), ("auditor", 200, 403), ("agent", 200, 200)])
async def test_roles(service: Running, role: str, read: int, write: int) -> None:
    await service.situations(COMPLAINT)
    headers = service.handovers.key(role)
    assert (await service.http.get("/v1/situations/c-1", headers=headers)).status_code == read
    assert (await service.http.post("/v1/situations/c-1", json=OPEN, headers=headers)).status_code == write
