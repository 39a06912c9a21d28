import asyncio
from collections.abc import AsyncIterator

import pytest
from fastapi import APIRouter, FastAPI, Request
from sqlalchemy import MetaData
from starlette.responses import JSONResponse, StreamingResponse

from services.kit.db.database import Database
from services.kit.db.tables import add_kit_tables
from services.kit.errors import Invalid, Transient
from services.kit.http.auth import requires
from services.kit.http.idempotency import RETENTION, IdempotencyStore
from tests.support.http_apps import app_of, client_of, problem_of

pytestmark = pytest.mark.wired

BODY = {"name": "anna"}


class Works:
    """Routes that count their effects."""

    def __init__(self) -> None:
        self.effects = 0
        self.begun = asyncio.Event()
        self.gate = asyncio.Event()
        self.gate.set()
        self.failure: Exception | None = None
        self.router = APIRouter()
        self.router.post("/work", dependencies=[requires("campaigns:write")])(self.work)
        self.router.post("/other-work", dependencies=[requires("campaigns:write")])(self.work)
        self.router.post("/stream", dependencies=[requires("campaigns:write")])(self.stream)
        self.router.put("/work", dependencies=[requires("campaigns:write")])(self.work)
        self.router.post("/keys", dependencies=[requires("campaigns:write", store_response=False)])(self.work)

    async def stream(self) -> StreamingResponse:
        async def pieces() -> AsyncIterator[bytes]:
            self.effects += 1
            yield b"half"
            raise RuntimeError("broken")

        return StreamingResponse(pieces())

    async def work(self, request: Request) -> JSONResponse:
        self.begun.set()
        await self.gate.wait()
        self.effects += 1
        if self.failure is not None:
            raise self.failure
        headers = {"ETag": f'"{self.effects}"', "X-Other": "not kept"}
        return JSONResponse({"effects": self.effects, **await request.json()}, 201, headers)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = Database.open(database_url)
    metadata = MetaData()
    add_kit_tables(metadata)
    await database.run_sync(metadata.create_all)
    yield database
    await database.close()


@pytest.fixture
def works() -> Works:
    return Works()


@pytest.fixture
def app(database: Database, works: Works) -> FastAPI:
    return app_of(works.router, idempotency=IdempotencyStore(database, wait=30))


@pytest.fixture
def hasty(database: Database, works: Works) -> FastAPI:
    """The same for who does not wait long."""
    return app_of(works.router, idempotency=IdempotencyStore(database, wait=0.1))


async def test_the_same_request_has_one_effect_and_one_answer(app: FastAPI, works: Works) -> None:
    async with client_of(app, "marketer") as client:
        answers = [await client.post("/work", json=BODY, headers={"Idempotency-Key": "k"}) for _ in range(3)]
    assert works.effects == 1
    assert {(answer.status_code, answer.content, answer.headers["etag"]) for answer in answers} == {
        (201, answers[0].content, '"1"')
    }
    assert answers[0].json() == {"effects": 1, "name": "anna"}
    assert [answer.headers.get("idempotent-replayed") for answer in answers] == [None, "true", "true"]
    assert answers[1].headers["content-type"] == "application/json"
    assert answers[1].headers["content-length"] == str(len(answers[1].content))
    assert "x-other" not in answers[1].headers


async def test_without_a_key_and_on_other_methods_nothing_is_kept(app: FastAPI, works: Works) -> None:
    async with client_of(app, "marketer") as client:
        await client.post("/work", json=BODY)
        await client.post("/work", json=BODY)
        await client.put("/work", json=BODY, headers={"Idempotency-Key": "k"})
        await client.put("/work", json=BODY, headers={"Idempotency-Key": "k"})
    assert works.effects == 4


async def test_another_body_or_path_with_the_same_key_is_a_mismatch(app: FastAPI, works: Works) -> None:
    async with client_of(app, "marketer") as client:
        await client.post("/work", json=BODY, headers={"Idempotency-Key": "k"})
        for path, body in (("/work", {"name": "bert"}), ("/other-work", BODY)):
            answer = await client.post(path, json=body, headers={"Idempotency-Key": "k"})
            assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_mismatch")
    assert works.effects == 1


async def test_keys_belong_to_their_caller(app: FastAPI, works: Works) -> None:
    for caller in ("marketer", "admin"):
        async with client_of(app, caller) as client:
            await client.post("/work", json=BODY, headers={"Idempotency-Key": "k"})
    assert works.effects == 2


async def test_a_kept_answer_is_only_for_who_may(app: FastAPI, works: Works) -> None:
    async with client_of(app, "marketer") as client:
        await client.post("/work", json=BODY, headers={"Idempotency-Key": "k"})
    async with client_of(app) as client:
        assert (await client.post("/work", json=BODY, headers={"Idempotency-Key": "k"})).status_code == 401


async def test_requests_at_the_same_time_have_one_effect_and_the_same_answer(app: FastAPI, works: Works) -> None:
    works.gate.clear()
    async with client_of(app, "marketer") as client:
        send = [client.post("/work", json=BODY, headers={"Idempotency-Key": "k"}) for _ in range(5)]
        tasks = [asyncio.create_task(one) for one in send]
        await works.begun.wait()
        works.gate.set()
        answers = await asyncio.gather(*tasks)
    assert works.effects == 1
    assert {answer.content for answer in answers} == {b'{"effects":1,"name":"anna"}'}


async def test_who_waits_too_long_is_told_to_come_back(hasty: FastAPI, works: Works) -> None:
    works.gate.clear()
    async with client_of(hasty, "marketer") as client:
        first = asyncio.create_task(client.post("/work", json=BODY, headers={"Idempotency-Key": "k"}))
        await works.begun.wait()
        second = await client.post("/work", json=BODY, headers={"Idempotency-Key": "k"})
        works.gate.set()
        assert (await first).status_code == 201
    assert (second.status_code, second.json()["code"]) == (409, "idempotency_in_progress")
    assert second.headers["retry-after"] == "1"


@pytest.mark.parametrize("failure", [Transient("later"), RuntimeError("unexpected")])
async def test_a_failure_on_our_side_frees_the_key(app: FastAPI, works: Works, failure: Exception) -> None:
    works.failure = failure
    async with client_of(app, "marketer") as client:
        assert (await client.post("/work", json=BODY, headers={"Idempotency-Key": "k"})).status_code >= 500
        works.failure = None
        assert (await client.post("/work", json=BODY, headers={"Idempotency-Key": "k"})).status_code == 201
    assert works.effects == 2


async def test_an_answer_that_breaks_off_is_not_kept_and_is_a_clean_failure(app: FastAPI, works: Works) -> None:
    async with client_of(app, "marketer") as client:
        for _ in range(2):
            answer = await client.post("/stream", json=BODY, headers={"Idempotency-Key": "k"})
            assert (answer.status_code, answer.json()["code"]) == (500, "internal")
    assert works.effects == 2


async def test_a_refusal_is_an_answer_and_is_kept(app: FastAPI, works: Works) -> None:
    works.failure = Invalid("no")
    async with client_of(app, "marketer") as client:
        first = await client.post("/work", json=BODY, headers={"Idempotency-Key": "k"})
        works.failure = None
        second = await client.post("/work", json=BODY, headers={"Idempotency-Key": "k"})
    assert (first.status_code, first.content) == (second.status_code, second.content)
    assert second.headers["content-type"] == "application/problem+json"
    assert works.effects == 1


async def test_a_route_that_shows_secrets_keeps_nothing(app: FastAPI, works: Works, database: Database) -> None:
    async with client_of(app, "marketer") as client:
        answer = await client.post("/keys", json=BODY, headers={"Idempotency-Key": "k"})
        problem_of(answer, 422, "idempotency_unsupported")
        assert works.effects == 0
        assert (await client.post("/keys", json=BODY)).status_code == 201
    async with database.read() as tx:
        assert not await tx.rows("SELECT key FROM idempotency")


async def test_a_claim_of_a_process_that_died_is_taken_over_after_two_minutes(
    hasty: FastAPI, works: Works, database: Database
) -> None:
    async with client_of(hasty, "marketer") as client:
        await client.post("/work", json=BODY, headers={"Idempotency-Key": "k"})
        async with database.write() as tx:
            await tx.execute("UPDATE idempotency SET status = 0")
        assert (await client.post("/work", json=BODY, headers={"Idempotency-Key": "k"})).status_code == 409
        async with database.write() as tx:
            await tx.execute("UPDATE idempotency SET at = at - 121000000")
        assert (await client.post("/work", json=BODY, headers={"Idempotency-Key": "k"})).status_code == 201
    assert works.effects == 2


async def test_answers_are_forgotten_after_a_day(app: FastAPI, works: Works, database: Database) -> None:
    async with client_of(app, "marketer") as client:
        await client.post("/work", json=BODY, headers={"Idempotency-Key": "k"})
        assert await IdempotencyStore(database).delete_expired() == 0
        async with database.write() as tx:
            await tx.execute("UPDATE idempotency SET at = at - :day", day=RETENTION + 1_000_000)
        await client.post("/work", json=BODY, headers={"Idempotency-Key": "k"})
        assert works.effects == 2
        async with database.write() as tx:
            await tx.execute("UPDATE idempotency SET at = at - :day", day=RETENTION + 1_000_000)
        assert await IdempotencyStore(database).delete_expired() == 1


@pytest.mark.parametrize("key", ["", "x" * 256, "a\tb"])
async def test_an_unusable_key_is_refused(app: FastAPI, works: Works, key: str) -> None:
    async with client_of(app, "marketer") as client:
        answer = await client.post("/work", json=BODY, headers={"Idempotency-Key": key})
    assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_key")
    assert works.effects == 0


async def test_no_key_is_stored_in_plain_text(app: FastAPI, database: Database) -> None:
    async with client_of(app, "marketer") as client:
        await client.post("/work", json=BODY, headers={"Idempotency-Key": "canary"})
    async with database.read() as tx:
        [row] = await tx.rows("SELECT * FROM idempotency")
    assert "canary" not in repr(row)
