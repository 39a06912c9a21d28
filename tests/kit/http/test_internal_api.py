from collections.abc import Callable

import httpx
import msgspec
import pytest
from fastapi import APIRouter, Request
from starlette.responses import Response

from services.kit.errors import FenceTimeout, Invalid, Permanent, Transient
from services.kit.http.auth import service_only
from services.kit.http.internal_api import MEDIA_TYPE, call, read_request, respond
from services.kit.observability import logs
from tests.support.http_apps import SERVICE_KEY, app_of, client_of


class Question(msgspec.Struct, frozen=True):
    customers: tuple[str, ...]
    positions: dict[str, dict[int, int]]


class Facts(msgspec.Struct, frozen=True):
    customers: tuple[str, ...]
    trace: str


def door() -> APIRouter:
    router = APIRouter(prefix="/internal", dependencies=[service_only()])

    @router.post("/facts")
    async def facts(request: Request) -> Response:
        asked = await read_request(request, Question)
        if asked.customers == ("late",):
            raise FenceTimeout("not there yet", retry_after=7)
        if asked.customers == ("wrong",):
            raise Invalid("no")
        return respond(Facts(asked.customers, logs.trace_id.get()))

    return router


QUESTION = Question(("c-1", "c-2"), {"customer.events": {0: 5}})


async def test_a_question_travels_with_key_and_trace() -> None:
    token = logs.trace_id.set("ab" * 16)
    async with client_of(app_of(door())) as client:
        facts = await call(client, "/internal/facts", QUESTION, Facts, key=SERVICE_KEY)
    logs.trace_id.reset(token)
    assert facts == Facts(("c-1", "c-2"), "ab" * 16)


async def test_unavailable_is_transient_and_a_refusal_permanent() -> None:
    async with client_of(app_of(door())) as client:
        with pytest.raises(Transient) as late:
            await call(client, "/internal/facts", Question(("late",), {}), Facts, key=SERVICE_KEY)
        assert late.value.code == "not_caught_up"
        assert 7 <= late.value.retry_after <= 7 * 1.25
        with pytest.raises(Permanent) as wrong:
            await call(client, "/internal/facts", Question(("wrong",), {}), Facts, key=SERVICE_KEY)
        assert wrong.value.code == "invalid"
        with pytest.raises(Permanent) as refused:
            await call(client, "/internal/facts", QUESTION, Facts, key="another key")
        assert refused.value.code == "unauthorised"
        with pytest.raises(Permanent) as form:
            await call(client, "/internal/facts", QUESTION, Question, key=SERVICE_KEY)
        assert form.value.code == "door_answer"


def client_with(handler: Callable[[httpx.Request], httpx.Response]) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.MockTransport(handler), base_url="http://door")


BROKEN = [httpx.ConnectError, httpx.ReadError, httpx.RemoteProtocolError, httpx.ConnectTimeout]


@pytest.mark.parametrize("error", BROKEN)
async def test_a_broken_connection_is_tried_three_times_then_transient(error: type[httpx.TransportError]) -> None:
    tries = 0

    def broken(request: httpx.Request) -> httpx.Response:
        nonlocal tries
        tries += 1
        raise error("broken")

    async with client_with(broken) as client:
        with pytest.raises(Transient):
            await call(client, "/facts", QUESTION, Facts, key="k")
    assert tries == 3


async def test_an_error_names_the_service_that_does_not_answer_and_why() -> None:
    def unreachable(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    def without_database(request: httpx.Request) -> httpx.Response:
        return httpx.Response(503, json={"code": "database_gone", "detail": "the database does not answer"})

    for handler, why in ((unreachable, "no connection"), (without_database, "the database does not answer")):
        async with client_with(handler) as client:
            with pytest.raises(Transient) as caught:
                await call(client, "/internal/preference/facts", QUESTION, Facts, key="k")
        assert caught.value.detail == f"preference does not answer: {why} (http://door)"


async def test_a_connection_that_comes_back_is_no_error() -> None:
    tries = 0

    def flaky(request: httpx.Request) -> httpx.Response:
        nonlocal tries
        tries += 1
        if tries < 3:
            raise httpx.ConnectError("refused")
        return httpx.Response(200, content=msgspec.msgpack.encode(Facts(("c",), "")))

    async with client_with(flaky) as client:
        assert await call(client, "/facts", QUESTION, Facts, key="k") == Facts(("c",), "")


async def test_a_slow_answer_is_not_asked_for_again() -> None:
    tries = 0

    def slow(request: httpx.Request) -> httpx.Response:
        nonlocal tries
        tries += 1
        raise httpx.ReadTimeout("slow")

    async with client_with(slow) as client:
        with pytest.raises(Transient):
            await call(client, "/facts", QUESTION, Facts, key="k")
    assert tries == 1


@pytest.mark.parametrize(
    ("status", "kind"),
    [(429, Transient), (502, Transient), (503, Transient), (504, Transient), (500, Permanent), (404, Permanent),
     (302, Permanent), (204, Permanent)],
)  # fmt: skip
async def test_statuses_are_sorted(status: int, kind: type[Exception]) -> None:
    async with client_with(lambda _: httpx.Response(status, text="<html>")) as client:
        with pytest.raises(kind):
            await call(client, "/facts", QUESTION, Facts, key="k")


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (msgspec.msgpack.encode(QUESTION), "application/json", 415),
        (b"", MEDIA_TYPE, 400),
        (b"\xc1", MEDIA_TYPE, 400),
        (msgspec.msgpack.encode({"customers": [1], "positions": {}}), MEDIA_TYPE, 400),
        (b"\x91" * 100_000, MEDIA_TYPE, 400),  # a depth bomb
        (b"\xdd\xff\xff\xff\xff", MEDIA_TYPE, 400),  # announces 2^32 items
    ],
)
async def test_an_unreadable_question_is_refused(content: bytes, kind: str, status: int) -> None:
    headers = {"Content-Type": kind}
    async with client_of(app_of(door()), SERVICE_KEY) as client:
        assert (await client.post("/internal/facts", content=content, headers=headers)).status_code == status
